package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits on connections. Streams lift those on reading and writing for
// themselves.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10

	// stopWithin bounds a graceful stop: requests and jobs under way may finish
	// until then.
	stopWithin = 25 * time.Second
)

// Run is how a process runs.
type Run struct {
	Listener net.Listener  // nil when this process answers no requests
	Worker   bool          // works jobs, delivers events, seals the audit log
	Drain    time.Duration // between turning unready and refusing connections, for balancers to notice
	Ready    func()        // called when everything has started
	Failed   <-chan error  // something the process depends on is gone for good; may be nil
}

// Run serves until ctx ends or something fails for good, then stops in order:
// unready, no new connections, streams end, requests finish, jobs finish.
func (s *Server) Run(ctx context.Context, r Run) error {
	identity, stopIdentity := context.WithCancel(context.WithoutCancel(ctx))
	defer stopIdentity()
	s.Identity.Start(identity)
	s.Member.Start(identity)

	failed := make(chan error, 1)
	web := s.httpServer()
	if r.Listener != nil {
		go func() {
			if err := web.Serve(r.Listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("http: %w", err)
			}
		}()
	}
	var work *worker
	if r.Worker {
		var err error
		if work, err = s.startWorker(ctx); err != nil {
			_ = web.Close()
			return err
		}
	}
	if r.Ready != nil {
		r.Ready()
	}

	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
	case cause = <-r.Failed:
	}
	if cause != nil {
		s.deps.Log.Error("stopping", "error", cause)
	} else {
		s.deps.Log.Info("stopping")
	}
	return errors.Join(cause, s.shutdown(web, work, r.Drain))
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelDebug), // strangers' broken handshakes
	}
}

func (s *Server) shutdown(web *http.Server, work *worker, drain time.Duration) error {
	s.health.draining.Store(true)
	time.Sleep(drain)
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	s.stop()
	var errs []error
	if err := web.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("requests did not finish in time: %w", err), web.Close())
	}
	if work != nil {
		if err := work.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("jobs did not finish in time: %w", err))
		}
	}
	s.Identity.Close()
	return errors.Join(errs...)
}
