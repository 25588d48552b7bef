package outgoing

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func get(t *testing.T, address string) *http.Request {
	t.Helper()
	req, err := Get(t.Context(), address)
	require.NoError(t, err)
	return req
}

func TestWhatAFailureMeans(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte("body"))
		case "/hang":
			<-hang
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		case "/redirect":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/huge":
			_, _ = w.Write(make([]byte, answerLimit+1))
		}
	}))
	defer server.CloseClientConnections()
	c := New("test", 200*time.Millisecond, nil)
	answer, err := c.Once(get(t, server.URL+"/ok"))
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, answer.Status)
	require.Equal(t, "body", string(answer.Body))

	answer, err = c.Once(get(t, server.URL+"/redirect"))
	require.NoError(t, err)
	require.Equal(t, http.StatusFound, answer.Status, "a redirect is an answer")

	for _, path := range []string{"/hang", "/cut", "/huge"} {
		_, err = c.Once(get(t, server.URL+path+"?secret=hunter2"))
		require.ErrorIs(t, err, ErrUnknown, path)
		require.NotContains(t, err.Error(), "hunter2")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Once(get(t, server.URL+"/ok").WithContext(ended))
	require.ErrorIs(t, err, ErrNotSent)

	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	for _, unreachable := range []string{"http://" + address, "http://no-such-host.invalid", "https://" + server.Listener.Addr().String()} {
		_, err = c.Once(get(t, unreachable+"/?secret=hunter2"))
		require.ErrorIs(t, err, ErrNotSent, unreachable)
		require.NotContains(t, err.Error(), "hunter2")
	}

	_, err = Get(t.Context(), "http://hunter2\x7f")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
	_, err = PostJSON(t.Context(), "http://hunter2\x7f", nil)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestClientOfALibrary(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/huge":
			_, _ = w.Write(make([]byte, 2*answerLimit))
		case "/refused":
			w.WriteHeader(http.StatusBadRequest)
		case "/failing":
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	m := NewMetrics()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.Collectors()...)
	c := New("lib", time.Second, m)
	h := c.HTTP("token")
	for _, path := range []string{"/huge", "/refused", "/failing"} {
		res, err := h.Get(server.URL + path)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.LessOrEqual(t, n, int64(answerLimit))
		require.NoError(t, res.Body.Close())
	}
	server.Close()
	_, err := h.Get(server.URL)
	require.True(t, errors.Is(err, ErrNotSent))

	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, sample := range f.GetMetric() {
			var labels []string
			for _, l := range sample.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			if f.GetName() == "shuke_outside_calls_total" {
				got[strings.Join(labels, " ")] = sample.GetCounter().GetValue()
			}
		}
	}
	require.Equal(t, map[string]float64{
		"token ok lib": 1, "token refused lib": 1, "token unavailable lib": 1, "token not_sent lib": 1,
	}, got)
}
