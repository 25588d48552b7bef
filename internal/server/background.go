package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

const (
	cleanEvery = 10 * time.Minute
	cleanBatch = 5000 // rows deleted by one statement, so that none holds locks for long
)

// schedule registers regular work. It runs in one of the processes that play
// the worker role.
func (s *Server) schedule() {
	s.Jobs.Every("server.clean_idempotency_keys", jobs.Interval(cleanEvery), s.cleanKeys)
	s.Jobs.Every("identity.clean_sessions", jobs.Interval(time.Hour), s.Identity.CleanSessions)
	s.Jobs.Every("member.clean", jobs.Interval(cleanEvery), s.Member.Clean)
	s.Jobs.Every("identity.watch_access", jobs.Interval(time.Minute), s.Identity.WatchAccess)
	s.Jobs.Every("identity.note_delegations", jobs.Interval(time.Minute), s.Identity.NoteDelegations)
}

// cleanKeys deletes answers that can no longer be asked for.
func (s *Server) cleanKeys(ctx context.Context) error {
	for {
		result, err := s.deps.DB.Exec(ctx, `
			DELETE FROM idempotency_keys WHERE (principal, key) IN (
			    SELECT principal, key FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`,
			s.deps.Clock.Now(), cleanBatch)
		if err != nil {
			return fmt.Errorf("delete expired idempotency keys: %w", err)
		}
		n, err := result.RowsAffected()
		if err != nil || n < cleanBatch {
			return err
		}
	}
}

// worker is the background work of this process.
type worker struct {
	server *Server
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// startWorker begins to work jobs, deliver events and seal the audit log.
func (s *Server) startWorker(ctx context.Context) (*worker, error) {
	if err := s.Jobs.Start(ctx); err != nil {
		return nil, err
	}
	// Ends with stop, not with ctx: a batch under way is to finish.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &worker{server: s, cancel: cancel}
	w.run(background, "event dispatcher", s.Events.Run)
	w.run(background, "audit sealer", s.Sealer.Run)
	return w, nil
}

func (w *worker) run(ctx context.Context, what string, f func(context.Context) error) {
	w.wg.Go(func() {
		if err := f(ctx); err != nil && !errors.Is(err, context.Canceled) {
			w.server.deps.Log.Error("background work ended", "work", what, "error", err)
		}
	})
}

// stop lets what runs come to an end until ctx is over.
func (w *worker) stop(ctx context.Context) error {
	err := w.server.Jobs.Stop(ctx)
	w.cancel()
	done := make(chan struct{})
	go func() { w.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		err = errors.Join(err, errors.New("background work did not end in time"))
	}
	return err
}

// quiet passes on warnings and errors only: the job queue reports its own
// well-being every few seconds, which metrics do better.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
