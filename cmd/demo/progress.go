package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress draws a bar on one line, at most ten times a second.
type progress struct {
	mu      sync.Mutex
	w       io.Writer
	label   string
	total   int
	done    int
	started time.Time
	drawn   time.Time
}

func newProgress(w io.Writer, label string, total int) *progress {
	return &progress{w: w, label: label, total: total, started: time.Now()}
}

func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if p.done < p.total && time.Since(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = time.Now()
	const width = 30
	full := width
	if p.total > 0 {
		full = width * p.done / p.total
	}
	rate := float64(p.done) / max(time.Since(p.started).Seconds(), 0.001)
	fmt.Fprintf(p.w, "\r  %-10s [%s%s] %6d/%d  %.0f/s ", p.label, strings.Repeat("█", full), strings.Repeat("·", width-full), p.done, p.total, rate)
	if p.done >= p.total {
		fmt.Fprintln(p.w)
	}
}
