package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// program describes a server well enough to start it again.
type program struct {
	name    string // as in messages
	path    string
	args    []string
	dir     string   // working folder; leftovers of an earlier run are found by it
	env     []string // complete environment
	output  string   // file for standard output and error, begun anew at each start
	account *account
	// stop asks for a clean end; deathSignal is what the kernel sends when this process dies.
	stop, deathSignal syscall.Signal
	// prepare clears what a crash left behind; it runs before each start.
	prepare func() error
	// ready answers nil when the server serves; it is polled.
	ready func(context.Context) error
}

// child is a supervised server process.
type child struct {
	program
	log *slog.Logger

	mu       sync.Mutex
	process  *os.Process
	exited   chan struct{} // closed when process has ended
	stopping bool
	halting  chan struct{} // closed by halt
	finished chan struct{} // closed when supervision has ended
}

// Limits of waiting. A server that recovers from a crash may take minutes.
const (
	readyLimit    = 5 * time.Minute
	stopLimit     = 30 * time.Second
	pollEvery     = 10 * time.Millisecond
	restartLimit  = 5 // failures in a row before giving up
	restartReset  = time.Minute
	firstBackoff  = 100 * time.Millisecond
	longestPauses = 5 * time.Second
)

// launch starts the program and waits until it is ready.
func launch(ctx context.Context, p program, log *slog.Logger) (*child, error) {
	c := &child{program: p, log: log, halting: make(chan struct{}), finished: make(chan struct{})}
	if err := c.run(ctx); err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// run starts the process once and waits until it is ready.
func (c *child) run(ctx context.Context) error {
	if err := c.prepare(); err != nil {
		return err
	}
	if err := c.spawn(); err != nil {
		return err
	}
	return c.awaitReady(ctx)
}

// spawn starts the process from a thread that lives as long as the process: the
// kernel sends the death signal when the creating thread ends, not the process.
func (c *child) spawn() error {
	// Appending is unneeded: the output of the last start is what explains a failure.
	out, err := os.OpenFile(c.output, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()

	cmd := exec.Command(c.path, c.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, out, out
	// A process group of its own: Ctrl-C reaches the service, which then stops us in order.
	cmd.SysProcAttr = childAttributes(c.account, c.deathSignal)

	exited := make(chan struct{})
	started := make(chan error, 1)
	c.mu.Lock()
	if c.stopping {
		c.mu.Unlock()
		return fmt.Errorf("%s is being stopped", c.name)
	}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended does not matter: any end is either asked for or a failure
		}
		close(exited)
	}()
	err = <-started
	if err == nil {
		c.process, c.exited = cmd.Process, exited
	}
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", c.path, err)
	}
	return nil
}

func (c *child) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	begun := time.Now()
	notice := time.NewTicker(5 * time.Second)
	defer notice.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		last := c.ready(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("%s ended while starting: %s", c.name, tail(c.output))
		case <-ctx.Done():
			return fmt.Errorf("%s did not answer: %w; last answer: %w", c.name, ctx.Err(), last)
		case <-notice.C:
			c.log.Info("waiting for the server to get ready", "server", c.name, "seconds", int(time.Since(begun).Seconds()))
		case <-poll.C:
		}
	}
}

// supervise restarts the process when it dies, with growing pauses, until halt.
// Error: it keeps dying.
func (c *child) supervise(log *slog.Logger) error {
	defer close(c.finished)
	failures, pause := 0, firstBackoff
	begun := time.Now()
	for {
		select {
		case <-c.exited:
		case <-c.halting:
			return nil
		}
		if c.isStopping() {
			return nil
		}
		if time.Since(begun) > restartReset {
			failures, pause = 0, firstBackoff
		}
		for {
			failures++
			if failures > restartLimit {
				return fmt.Errorf("%s died %d times in a row; see %s", c.name, restartLimit, c.output)
			}
			log.Error("a server ended unexpectedly; starting it again", "server", c.name, "attempt", failures, "pause", pause)
			select {
			case <-time.After(pause):
			case <-c.halting:
				return nil
			}
			pause = min(2*pause, longestPauses)
			begun = time.Now()
			err := c.run(context.Background())
			if err == nil {
				log.Info("the server is back", "server", c.name, "after", time.Since(begun).Round(time.Millisecond))
				break
			}
			if c.isStopping() {
				return nil
			}
			log.Error("the server did not come back", "server", c.name, "error", err)
			c.kill()
		}
	}
}

func (c *child) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// halt ends the process: cleanly, else by force. It returns when it is gone.
func (c *child) halt() {
	c.mu.Lock()
	c.stopping = true
	close(c.halting)
	c.mu.Unlock()
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{c.stop, stopLimit}, {syscall.SIGQUIT, 10 * time.Second}, {syscall.SIGKILL, 10 * time.Second}} {
		if c.signal(step.signal, step.wait) {
			break
		}
		c.log.Warn("the server does not stop", "server", c.name, "signal", step.signal.String())
	}
	<-c.finished
}

// kill ends a process that never became ready.
func (c *child) kill() {
	if !c.signal(c.stop, 10*time.Second) {
		c.signal(syscall.SIGKILL, 5*time.Second)
	}
}

// signal reports whether the process is gone within the time.
func (c *child) signal(s syscall.Signal, wait time.Duration) bool {
	c.mu.Lock()
	process, exited := c.process, c.exited
	c.mu.Unlock()
	if process == nil {
		return true
	}
	_ = process.Signal(s) // an error means that it has ended
	select {
	case <-exited:
		return true
	case <-time.After(wait):
		return false
	}
}

// environment gives a server only what it needs: settings of the shell that
// started the service (PGHOST, LC_ALL, TZ …) must not change how it behaves.
func environment(libraries string) []string {
	env := []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	if libraries != "" {
		env = append(env, "LD_LIBRARY_PATH="+libraries)
	}
	return slices.Clip(env)
}

// tail returns the last lines of a file for a message.
func tail(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) == 0 {
		return "it printed nothing (see the log files beside " + path + ")"
	}
	const most = 1500
	if len(raw) > most {
		raw = raw[len(raw)-most:]
	}
	return string(raw)
}
