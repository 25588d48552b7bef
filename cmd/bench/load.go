package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The load generator writes ready-made HTTP/1.1 requests over keep-alive
// connections and reads just enough of each answer: it shares the machine with
// what it measures, so it must cost little.

// result of one run.
type result struct {
	requests int
	failures map[int]int // by status, other than 2xx and 304
	seconds  float64
	latency  []time.Duration // sorted
}

func (r result) rate() float64 { return float64(r.requests) / r.seconds }

func (r result) quantile(q float64) time.Duration {
	if len(r.latency) == 0 {
		return 0
	}
	return r.latency[min(int(q*float64(len(r.latency))), len(r.latency)-1)]
}

// request makes the bytes of one request.
func request(method, path, token string, body []byte, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: bench\r\n", method, path)
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != nil {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// run drives addr from conns connections until the time is over or next
// returns nil. next is called from several goroutines with the number of the
// connection and of the request on it.
func run(addr string, conns int, d time.Duration, next func(conn, i int) []byte) (result, error) {
	var wg sync.WaitGroup
	parts := make([]result, conns)
	errs := make([]error, conns)
	start := time.Now()
	for c := range conns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			parts[c], errs[c] = drive(addr, c, start.Add(d), next)
		}()
	}
	wg.Wait()
	total := result{seconds: time.Since(start).Seconds(), failures: map[int]int{}}
	for c, p := range parts {
		if errs[c] != nil {
			return total, errs[c]
		}
		total.requests += p.requests
		total.latency = append(total.latency, p.latency...)
		for status, n := range p.failures {
			total.failures[status] += n
		}
	}
	slices.Sort(total.latency)
	return total, nil
}

func drive(addr string, c int, deadline time.Time, next func(conn, i int) []byte) (result, error) {
	r := result{failures: map[int]int{}}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	for i := 0; ; i++ {
		req := next(c, i)
		began := time.Now()
		if req == nil || began.After(deadline) {
			return r, nil
		}
		if _, err := conn.Write(req); err != nil {
			return r, err
		}
		status, err := answer(in)
		if err != nil {
			return r, fmt.Errorf("read the answer: %w", err)
		}
		r.latency = append(r.latency, time.Since(began))
		r.requests++
		if status >= 300 && status != 304 {
			r.failures[status]++
		}
	}
}

// answer reads one response and returns its status.
func answer(in *bufio.Reader) (int, error) {
	first, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(first) < 12 {
		return 0, fmt.Errorf("short status line %q", first)
	}
	status, err := strconv.Atoi(string(first[9:12]))
	if err != nil {
		return 0, err
	}
	length, chunked := 0, false
	for {
		h, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		h = bytes.TrimRight(h, "\r\n")
		if len(h) == 0 {
			break
		}
		name, value, _ := bytes.Cut(h, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	if status == 304 || status == 204 {
		return status, nil
	}
	if !chunked {
		_, err = in.Discard(length)
		return status, err
	}
	for {
		size, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimRight(size, "\r\n")), 16, 64)
		if err != nil {
			return 0, err
		}
		if _, err := io.CopyN(io.Discard, in, n+2); err != nil {
			return 0, err
		}
		if n == 0 {
			return status, nil
		}
	}
}
