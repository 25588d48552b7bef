package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

// Bucket says where objects lie in an object store that speaks S3.
type Bucket struct {
	Endpoint     string // host, or host:port
	Insecure     bool   // http instead of https
	Region       string
	Name         string
	AccessKey    string
	SecretKey    string
	Prefix       string // put before every name, such as "shuke/"; may be empty
	VirtualHosts bool   // bucket.endpoint instead of endpoint/bucket
	Tries        int    // how often a request is sent while the store is away; 0 means 3
	Transport    http.RoundTripper
}

const (
	// patience bounds what an object store may take for one request.
	patience = 60 * time.Second
	// slowest is in bytes a second: uploads get more time by their size.
	slowest = 128 << 10
)

// OpenBucket makes a store in a bucket, which must exist. Objects are written
// by way of a local folder, so that only whole ones get there.
func OpenBucket(b Bucket, dir string, keys *crypto.Keyring) (*Store, error) {
	lookup := minio.BucketLookupPath
	if b.VirtualHosts {
		lookup = minio.BucketLookupDNS
	}
	if b.Tries == 0 {
		b.Tries = 3
	}
	client, err := minio.NewCore(b.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(b.AccessKey, b.SecretKey, ""), Secure: !b.Insecure, Region: b.Region, BucketLookup: lookup, Transport: b.Transport, MaxRetries: b.Tries,
	})
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return openStore(bucket{client, b}, dir, keys)
}

type bucket struct {
	client *minio.Core
	Bucket
}

func (b bucket) put(name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	defer func() { _ = f.Close(); _ = os.Remove(file) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	ctx, stop := context.WithTimeout(context.Background(), patience+time.Duration(info.Size()/slowest)*time.Second)
	defer stop()
	// Large files go in parts.
	_, err = b.client.Client.PutObject(ctx, b.Name, b.Prefix+name, f, info.Size(), minio.PutObjectOptions{ContentType: "application/octet-stream", PartSize: 64 << 20})
	if err != nil {
		return fmt.Errorf("blob: put: %w", err)
	}
	return nil
}

// open begins to fetch right away: the answer to that tells the size, and, unlike
// one to HEAD, a missing object from a missing bucket.
func (b bucket) open(name string) (sealedObject, error) {
	ctx, end := context.WithCancel(context.Background())
	defer time.AfterFunc(patience, end).Stop()
	body, info, _, err := b.client.GetObject(ctx, b.Name, b.Prefix+name, minio.GetObjectOptions{})
	if err != nil {
		end()
		if absent(err) {
			return nil, ErrNotFound
		}
		return nil, fmt.Errorf("blob: get: %w", err)
	}
	return &remoteObject{b: b, ctx: ctx, end: end, name: b.Prefix + name, etag: info.ETag, n: info.Size, body: body}, nil
}

func absent(err error) bool {
	var e minio.ErrorResponse
	return errors.As(err, &e) && e.Code == minio.NoSuchKey
}

func (b bucket) remove(name string) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := b.client.RemoveObject(ctx, b.Name, b.Prefix+name, minio.RemoveObjectOptions{}); err != nil && !absent(err) {
		return fmt.Errorf("blob: remove: %w", err)
	}
	return nil
}

// remoteObject is read from where one reads on: a request lasts until somebody
// reads at another place.
type remoteObject struct {
	b    bucket
	ctx  context.Context
	end  context.CancelFunc
	name string
	etag string
	n    int64

	body io.ReadCloser
	at   int64
}

func (o *remoteObject) size() int64 { return o.n }

// ReadAt implements io.ReaderAt; not concurrently.
func (o *remoteObject) ReadAt(p []byte, off int64) (int, error) {
	if off >= o.n {
		return 0, io.EOF
	}
	defer time.AfterFunc(patience, o.end).Stop() // a transfer that stalls
	if o.body == nil || o.at != off {
		o.hangUp()
		opts := minio.GetObjectOptions{}
		if err := opts.SetMatchETag(o.etag); err != nil {
			return 0, err
		}
		if off > 0 {
			if err := opts.SetRange(off, 0); err != nil {
				return 0, err
			}
		}
		body, _, _, err := o.b.client.GetObject(o.ctx, o.b.Name, o.name, opts)
		if absent(err) {
			return 0, ErrNotFound
		}
		if err != nil {
			return 0, fmt.Errorf("blob: get: %w", err)
		}
		o.body, o.at = body, off
	}
	n, err := io.ReadFull(o.body, p[:min(int64(len(p)), o.n-off)])
	o.at += int64(n)
	if err == nil && n < len(p) {
		return n, io.EOF
	}
	if err != nil {
		o.hangUp()
		return n, fmt.Errorf("blob: get: %w", err)
	}
	return n, nil
}

func (o *remoteObject) hangUp() {
	if o.body != nil {
		_ = o.body.Close()
		o.body = nil
	}
}

// Close implements io.Closer.
func (o *remoteObject) Close() error {
	o.hangUp()
	o.end()
	return nil
}
