// Package outgoing carries requests to services that are not ours. It says
// what a failure means for the caller, which a bare http.Client does not: was
// the request sent at all, or may it have had its effect?
//
// Answers are hostile until decoded: their size is capped, redirects are not
// followed (they would carry a secret in the address to another host), and no
// error holds an address, since several of these services want secrets there.
package outgoing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// answerLimit is far above what any of these calls answers.
	answerLimit = 1 << 20
	dialTimeout = 3 * time.Second
)

// ErrNotSent: no connection came about, so the other side knows nothing of the
// request and it may be repeated.
var ErrNotSent = errors.New("the request was not sent")

// ErrUnknown: the connection stood and no whole answer came back. The request
// may or may not have had its effect.
var ErrUnknown = errors.New("the result is unknown")

// Answer is what came back, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Client sends requests to one provider. Use New.
type Client struct {
	provider string
	timeout  time.Duration
	metrics  *Metrics
	http     *http.Client
}

// New makes a client. Timeout bounds a whole call; provider is the metrics'
// label ("wechat").
func New(provider string, timeout time.Duration, m *Metrics) *Client {
	return &Client{provider: provider, timeout: timeout, metrics: m, http: httpClient()}
}

// httpClient gives every request a connection of its own: net/http repeats a
// GET by itself when a kept connection breaks before the answer, by which time
// the other side may have acted. For the same reason it speaks HTTP/1.1 only:
// HTTP/2 repeats by rules of its own.
func httpClient() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			Protocols:           protocols,
			DisableKeepAlives:   true,
			TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Provider is the label of this client's metrics.
func (c *Client) Provider() string { return c.provider }

// HTTP is a client with the same rules and metrics for a library that brings
// its own requests.
func (c *Client) HTTP(operation string) *http.Client {
	return &http.Client{Timeout: c.timeout, CheckRedirect: c.http.CheckRedirect, Transport: observed{c, operation}}
}

// Once sends a request whose effect must not happen twice (it spends a
// one-time code, or a message). It reaches the other side once or not at all.
// Errors: ErrNotSent, ErrUnknown.
func (c *Client) Once(req *http.Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	res, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return Answer{}, failure(err, connected.Load())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit+1))
	if err != nil {
		return Answer{}, failure(err, true)
	}
	if len(body) > answerLimit {
		return Answer{}, fmt.Errorf("%w: the answer is longer than %d bytes", ErrUnknown, answerLimit)
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// failure tells the two kinds apart and drops the address from the message.
func failure(err error, connected bool) error {
	kind := ErrNotSent
	if connected {
		kind = ErrUnknown
	}
	var address *url.Error
	if errors.As(err, &address) {
		err = address.Err
	}
	// Only the class of the cause is kept: texts of the network repeat host names and
	// proxies, and errors.Is must not mistake this for the caller's own deadline.
	return fmt.Errorf("%w: %s", kind, strings.TrimSpace(err.Error()))
}

// PostJSON makes a request with a body sent exactly as given.
func PostJSON(ctx context.Context, address string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the provider's address cannot be used") // the error would repeat it
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// Get makes a request without a body.
func Get(ctx context.Context, address string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the provider's address cannot be used")
	}
	return req, nil
}

// observed counts the calls of a library.
type observed struct {
	c         *Client
	operation string
}

func (o observed) RoundTrip(req *http.Request) (*http.Response, error) {
	begun := time.Now()
	var connected atomic.Bool
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	res, err := o.c.http.Transport.RoundTrip(req.WithContext(ctx))
	outcome := OutcomeOK
	switch {
	case err != nil && connected.Load():
		outcome = OutcomeUnknown
	case err != nil:
		outcome = OutcomeNotSent
	case res.StatusCode >= 500:
		outcome = OutcomeUnavailable
	case res.StatusCode >= 400:
		outcome = OutcomeRefused
	}
	o.c.metrics.Observe(o.c.provider, o.operation, outcome, time.Since(begun))
	if err != nil {
		return nil, failure(err, connected.Load())
	}
	res.Body = capped{io.LimitReader(res.Body, answerLimit), res.Body}
	return res, nil
}

// capped ends an answer at the limit.
type capped struct {
	io.Reader
	io.Closer
}
