package fake

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// S3 is an object store with one bucket that keeps to the protocol where it
// matters to a client: signatures (AWS Signature Version 4, whole and in signed
// chunks), conditions, ranges, uploads in parts. It keeps objects in memory.
//
// Source: "Authenticating Requests (AWS Signature Version 4)" and "Signature
// Calculations for the Authorization Header: Transferring Payload in Multiple
// Chunks" of the Amazon S3 API reference.
type S3 struct {
	Bucket, Region, AccessKey, SecretKey string
	Now                                  func() time.Time

	mu      sync.Mutex
	objects map[string][]byte
	uploads map[string]map[int][]byte
	down    bool
	refused int
}

// NewS3 makes a store with an empty bucket.
func NewS3(bucket, region, accessKey, secretKey string) *S3 {
	return &S3{Bucket: bucket, Region: region, AccessKey: accessKey, SecretKey: secretKey, Now: time.Now, objects: map[string][]byte{}, uploads: map[string]map[int][]byte{}}
}

// Objects are copies of what lies in the bucket, by key.
func (s *S3) Objects() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string][]byte, len(s.objects))
	for k, v := range s.objects {
		out[k] = bytes.Clone(v)
	}
	return out
}

// Put places an object past the protocol.
func (s *S3) Put(key string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = content
}

// SetDown has the store answer 503, or not.
func (s *S3) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Refused is how many requests had no good signature.
func (s *S3) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

type s3Error struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	status  int
}

func (e *s3Error) Error() string { return e.Code + ": " + e.Message }

func s3Refuse(status int, code, message string) *s3Error {
	return &s3Error{Code: code, Message: message, status: status}
}

// ServeHTTP implements http.Handler.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := s.admit(r)
	if err == nil {
		err = s.answer(w, r, body)
	}
	if err == nil {
		return
	}
	var e *s3Error
	if ok := asS3Error(err, &e); !ok {
		e = s3Refuse(http.StatusInternalServerError, "InternalError", err.Error())
	}
	if e.status == http.StatusForbidden {
		s.mu.Lock()
		s.refused++
		s.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(e.status)
	if r.Method != http.MethodHead {
		_ = xml.NewEncoder(w).Encode(e)
	}
}

func asS3Error(err error, to **s3Error) bool {
	e, ok := err.(*s3Error)
	*to = e
	return ok
}

// admit checks who asks, and gives the body as it was before it was signed.
func (s *S3) admit(r *http.Request) ([]byte, error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		return nil, s3Refuse(http.StatusServiceUnavailable, "SlowDown", "come back later")
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	const scheme = "AWS4-HMAC-SHA256 "
	header := r.Header.Get("Authorization")
	if !strings.HasPrefix(header, scheme) {
		return nil, s3Refuse(http.StatusForbidden, "AccessDenied", "no signature")
	}
	parts := map[string]string{}
	for p := range strings.SplitSeq(header[len(scheme):], ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		parts[name] = value
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || s.Now().Sub(at).Abs() > 15*time.Minute {
		return nil, s3Refuse(http.StatusForbidden, "RequestTimeTooSkewed", "the clocks differ")
	}
	day := at.Format("20060102")
	scope := day + "/" + s.Region + "/s3/aws4_request"
	if parts["Credential"] != s.AccessKey+"/"+scope {
		return nil, s3Refuse(http.StatusForbidden, "InvalidAccessKeyId", "another key, day or region")
	}
	signed := strings.Split(parts["SignedHeaders"], ";")
	if !slices.IsSorted(signed) || !slices.Contains(signed, "host") || !slices.Contains(signed, "x-amz-date") || !slices.Contains(signed, "x-amz-content-sha256") {
		return nil, s3Refuse(http.StatusForbidden, "AccessDenied", "headers that must be signed are not")
	}
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-") && !slices.Contains(signed, lower) {
			return nil, s3Refuse(http.StatusForbidden, "AccessDenied", lower+" is not signed")
		}
	}
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, s3Escape(r.URL.Path, true), s3Query(r.URL.Query()))
	for _, name := range signed {
		value := strings.Join(r.Header.Values(http.CanonicalHeaderKey(name)), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	fmt.Fprintf(&canonical, "\n%s\n%s", parts["SignedHeaders"], claimed)
	key := s3Key(s.SecretKey, day, s.Region)
	want := s3Sign(key, "AWS4-HMAC-SHA256\n"+r.Header.Get("X-Amz-Date")+"\n"+scope+"\n"+s3Hash([]byte(canonical.String())))
	if !hmac.Equal([]byte(want), []byte(parts["Signature"])) {
		return nil, s3Refuse(http.StatusForbidden, "SignatureDoesNotMatch", "the signature is not the one it should be")
	}
	switch claimed {
	case "UNSIGNED-PAYLOAD":
		return raw, nil
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		return s3Chunks(raw, key, want, r.Header.Get("X-Amz-Date"), scope, strings.HasSuffix(claimed, "-TRAILER"))
	case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		return s3Chunks(raw, nil, "", "", "", true)
	}
	if claimed != s3Hash(raw) {
		return nil, s3Refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "the body is not the one that was signed")
	}
	return raw, nil
}

// s3Chunks reads a body in chunks, each signed over the one before; without a
// key they are not.
func s3Chunks(raw, key []byte, previous, date, scope string, trailer bool) ([]byte, error) {
	bad := func(why string) error { return s3Refuse(http.StatusForbidden, "SignatureDoesNotMatch", why) }
	var out []byte
	for {
		line, rest, ok := bytes.Cut(raw, []byte("\r\n"))
		if !ok {
			return nil, s3Refuse(http.StatusBadRequest, "IncompleteBody", "a chunk has no head")
		}
		size, signature, _ := strings.Cut(string(line), ";chunk-signature=")
		n, err := strconv.ParseInt(size, 16, 64)
		if err != nil || n > int64(len(rest)) {
			return nil, s3Refuse(http.StatusBadRequest, "IncompleteBody", "a chunk is cut short")
		}
		data := rest[:n]
		if key != nil {
			want := s3Sign(key, "AWS4-HMAC-SHA256-PAYLOAD\n"+date+"\n"+scope+"\n"+previous+"\n"+s3Hash(nil)+"\n"+s3Hash(data))
			if !hmac.Equal([]byte(want), []byte(signature)) {
				return nil, bad("a chunk's signature is not the one it should be")
			}
			previous = want
		}
		out = append(out, data...)
		raw = rest[n:]
		if n > 0 {
			raw = bytes.TrimPrefix(raw, []byte("\r\n"))
			continue
		}
		if !trailer || key == nil {
			return out, nil
		}
		// Trailing headers, signed once more over the last chunk.
		var signedPart strings.Builder
		for text := range strings.SplitSeq(string(raw), "\r\n") {
			name, value, ok := strings.Cut(text, ":")
			if !ok {
				continue
			}
			if name == "x-amz-trailer-signature" {
				want := s3Sign(key, "AWS4-HMAC-SHA256-TRAILER\n"+date+"\n"+scope+"\n"+previous+"\n"+s3Hash([]byte(signedPart.String())))
				if !hmac.Equal([]byte(want), []byte(strings.TrimSpace(value))) {
					return nil, bad("the trailer's signature is not the one it should be")
				}
				return out, nil
			}
			signedPart.WriteString(strings.ToLower(name) + ":" + strings.TrimSpace(value) + "\n")
		}
		return nil, bad("the trailer is not signed")
	}
}

func s3Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func s3Mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func s3Sign(key []byte, text string) string { return hex.EncodeToString(s3Mac(key, text)) }

func s3Key(secret, day, region string) []byte {
	return s3Mac(s3Mac(s3Mac(s3Mac([]byte("AWS4"+secret), day), region), "s3"), "aws4_request")
}

// s3Escape percent-encodes as the signature demands: all but unreserved
// characters, in capitals.
func s3Escape(text string, path bool) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		switch {
		case b >= 'A' && b <= 'Z', b >= 'a' && b <= 'z', b >= '0' && b <= '9', strings.IndexByte("-._~", b) >= 0, path && b == '/':
			out.WriteByte(b)
		default:
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}

func s3Query(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, v := range values {
			pairs = append(pairs, s3Escape(name, false)+"="+s3Escape(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func (s *S3) answer(w http.ResponseWriter, r *http.Request, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := strings.CutPrefix(r.URL.Path, "/"+s.Bucket+"/")
	if !ok || key == "" {
		return s3Refuse(http.StatusNotFound, "NoSuchBucket", "there is no such bucket")
	}
	q := r.URL.Query()
	etag := func(b []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(b)) }
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		id := strconv.Itoa(len(s.uploads) + 1)
		s.uploads[id] = map[int][]byte{}
		return xml.NewEncoder(w).Encode(struct {
			XMLName               xml.Name `xml:"InitiateMultipartUploadResult"`
			Bucket, Key, UploadId string   //nolint:revive // the protocol's name
		}{Bucket: s.Bucket, Key: key, UploadId: id})
	case r.Method == http.MethodPut && q.Has("uploadId"):
		parts := s.uploads[q.Get("uploadId")]
		n, err := strconv.Atoi(q.Get("partNumber"))
		if parts == nil || err != nil {
			return s3Refuse(http.StatusNotFound, "NoSuchUpload", "there is no such upload")
		}
		parts[n] = body
		w.Header().Set("ETag", etag(body))
	case r.Method == http.MethodPost && q.Has("uploadId"):
		parts := s.uploads[q.Get("uploadId")]
		if parts == nil {
			return s3Refuse(http.StatusNotFound, "NoSuchUpload", "there is no such upload")
		}
		var whole []byte
		for n := 1; parts[n] != nil; n++ {
			whole = append(whole, parts[n]...)
		}
		s.objects[key] = whole
		delete(s.uploads, q.Get("uploadId"))
		return xml.NewEncoder(w).Encode(struct {
			XMLName           xml.Name `xml:"CompleteMultipartUploadResult"`
			Bucket, Key, ETag string
		}{Bucket: s.Bucket, Key: key, ETag: etag(whole)})
	case r.Method == http.MethodPut:
		s.objects[key] = body
		w.Header().Set("ETag", etag(body))
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		delete(s.uploads, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		content, ok := s.objects[key]
		if !ok {
			return s3Refuse(http.StatusNotFound, "NoSuchKey", "there is no such object")
		}
		w.Header().Set("ETag", etag(content))
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", s.Now().Add(-time.Minute), bytes.NewReader(content)) // ranges and If-Match
	default:
		return s3Refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method)
	}
	return nil
}
