# syntax=docker/dockerfile:1
# The service alone, without servers: give it SHUKE_DATABASE_URL and
# SHUKE_REDIS_URL, as compose.yaml does.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=unknown
# Static: the image has no C library. The time zones are in the binary.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -X main.version=${VERSION}" -o /out/bin/shuke ./cmd/shuke \
 && mkdir -p /out/data /out/tmp /out/etc/ssl/certs \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
 && cp -r /usr/share/zoneinfo /out/zoneinfo \
 && echo 'shuke:x:10001:10001:shuke:/data:/sbin/nologin' > /out/etc/passwd \
 && echo 'shuke:x:10001:' > /out/etc/group

FROM busybox:1.37-musl AS probe

FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Shuke" org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/etc /etc
COPY --from=build /out/zoneinfo /usr/share/zoneinfo
COPY --from=build /out/bin/shuke /usr/local/bin/shuke
COPY --from=build --chown=10001:10001 /out/data /data
COPY --from=build --chown=10001:10001 /out/tmp /tmp
# One static program that asks whether the service is ready.
COPY --from=probe /bin/busybox /usr/local/bin/wget
ENV SHUKE_DATA_DIR=/data SHUKE_HTTP_ADDR=0.0.0.0:8080
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["/usr/local/bin/shuke"]
CMD ["serve"]
