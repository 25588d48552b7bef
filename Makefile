# One command each; `make help` lists them. Every target prepares what it needs.

SHELL := /bin/bash
export PATH := $(CURDIR)/.local/node/bin:$(PATH):/usr/local/go/bin

# Where `make demo` finds the running service.
export SHUKE_URL ?= http://127.0.0.1:8080
# Further flags for go test, such as -race or -run.
GO_TEST_FLAGS ?=
IMAGE ?= shuke
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: setup
setup: ## Install missing server programs and check Go
	@scripts/setup

.PHONY: build
build: ## Build bin/shuke
	@go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/shuke ./cmd/shuke

.PHONY: run
run: setup build ## Run the service, with servers and stand-ins of its own unless others are set
	@SHUKE_FAKES=$${SHUKE_FAKES-auto} exec bin/shuke serve

# What takes longest begins first, so that nothing is left to wait for alone.
.PHONY: test
test: setup ## Run the whole test suite
	go test -timeout 15m $(GO_TEST_FLAGS) ./internal/server ./internal/imports ./internal/orders ./...

.PHONY: demo
demo: build ## Load the sample data into the service at SHUKE_URL
	@export SHUKE_API_KEY=$${SHUKE_API_KEY:-$$(bin/shuke admin api-key --name demo --expires 24h | tail -n 1)}; \
	go run ./cmd/demo

.PHONY: bench
bench: setup ## Measure; BENCH_CUSTOMERS=1000000 for the large run
	@go run ./cmd/bench

.PHONY: generate
generate: ## Make all generated files from their sources
	@go run ./internal/tools/generate

.PHONY: check-generated
check-generated: setup ## Fail if generated files or migrations are not up to date
	@scripts/check-generated

.PHONY: migration
migration: setup ## Write the migration for changed entities: make migration name=add_something
	@[ -n "$(name)" ] || { echo 'usage: make migration name=add_something' >&2; exit 2; }
	@go run ./internal/tools/migrationdiff $(name)

# What is generated is checked by the compiler.
.PHONY: lint
lint: ## Check formatting and vet; golangci-lint too where it is installed
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then printf 'not formatted (run gofmt -w):\n%s\n' "$$unformatted" >&2; exit 1; fi
	go vet ./cmd/... ./internal/... ./ent ./ent/*/schema
	@if command -v golangci-lint >/dev/null; then golangci-lint run; fi

.PHONY: client-tools
client-tools:
	@scripts/setup --client

.PHONY: lint-spec
lint-spec: client-tools ## Check the contract against the linter's rules
	@cd clients/typescript && npm run --silent lint-spec

.PHONY: client-check
client-check: setup client-tools build ## Compile the TypeScript clients and try them, and the integrators' guide, on a live service
	@cd clients/typescript && npm run --silent check
	@scripts/with-service npm --prefix clients/typescript run --silent smoke
	@scripts/with-service scripts/member-path.sh

.PHONY: image
image: ## Build the container image
	docker build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

.PHONY: clean
clean: ## Remove what was built; data and .local stay
	rm -rf bin dist
