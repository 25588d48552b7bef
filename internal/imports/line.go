package imports

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/shuke-crm/shuke/ent/crm"
)

// batchesAbreast is how many batches of a file are worked on at a time: while
// one is sealed here, another is written by PostgreSQL.
const batchesAbreast = 3

// line holds the batches on their way. Each has a transaction of its own and
// does all its work in it; they commit in the order of the file, each together
// with how far the file has come, so that a crash loses and doubles nothing. A
// batch that shares an identifier with one on its way waits for it: what it
// does depends on the other.
//
// A batch that fails may have failed for the company of the others (two of them
// may want the same customers in another order): it and those behind it are
// done again, alone, and only what fails then is an error.
type line struct {
	w      *work
	way    []*flight
	landed func() // called after each commit
}

// flight is a batch on its way.
type flight struct {
	pending
	keys map[string]struct{}
	over chan struct{} // closed when the transaction has ended
	row  *crm.ImportRun
	err  error
}

var errBehind = errors.New("imports: the batch before failed")

// add sends a batch on its way as soon as there is room and nothing on its way
// that it depends on.
func (l *line) add(ctx context.Context, p pending) error {
	f := &flight{pending: p, over: make(chan struct{})}
	if l.w.abreast > 1 {
		f.keys = map[string]struct{}{}
		for _, key := range l.w.kind.keys(&p) {
			f.keys[key] = struct{}{}
		}
	}
	for len(l.way) >= l.w.abreast || l.shares(f) {
		if err := l.settle(ctx, len(l.way)-1); err != nil {
			return err
		}
	}
	var before *flight
	if n := len(l.way); n > 0 {
		before = l.way[n-1]
	}
	l.way = append(l.way, f)
	go l.w.fly(ctx, f, before)
	return nil
}

func (l *line) shares(f *flight) bool {
	for _, other := range l.way {
		if f.alone || other.alone {
			return true
		}
		for key := range f.keys {
			if _, ok := other.keys[key]; ok {
				return true
			}
		}
	}
	return false
}

// fly does a batch's work, waiting for the one before to commit.
func (w *work) fly(ctx context.Context, f, before *flight) {
	defer close(f.over)
	defer func() {
		if r := recover(); r != nil {
			f.err = fmt.Errorf("imports: panic: %v\n%s", r, debug.Stack())
		}
	}()
	var turn func(context.Context) error
	if w.abreast > 1 {
		turn = func(ctx context.Context) error {
			if before == nil {
				return nil
			}
			select {
			case <-before.over:
			case <-ctx.Done():
				return ctx.Err()
			}
			if before.err != nil {
				return errBehind
			}
			return nil
		}
	}
	f.row, f.err = w.commit(ctx, &f.pending, turn)
}

// settle waits until no more than n batches are on their way.
func (l *line) settle(ctx context.Context, n int) error {
	for len(l.way) > n {
		f := l.way[0]
		<-f.over
		if f.err == nil {
			l.way = l.way[1:]
			l.arrived(f.row)
			continue
		}
		if l.w.abreast == 1 || ctx.Err() != nil {
			return f.err
		}
		l.wait()
		again := l.way
		l.way = nil
		for _, f := range again {
			row, err := l.w.commit(ctx, &f.pending, nil)
			if err != nil {
				return err
			}
			l.arrived(row)
		}
	}
	return nil
}

func (l *line) arrived(row *crm.ImportRun) {
	l.w.run.ImportRun = row
	l.landed()
}

// wait returns when no batch is being worked on.
func (l *line) wait() {
	for _, f := range l.way {
		<-f.over
	}
}
