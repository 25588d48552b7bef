package embedded

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopLeftovers ends processes of an earlier run that still work in a folder.
// Both servers change into their data folder, and their helpers inherit that, so
// the working folder tells ours from all others, also after process ids were
// reused. A dead process that nobody has reaped yet has no working folder.
func stopLeftovers(dir string, main int, graceful syscall.Signal, log *slog.Logger) error {
	left := processesIn(dir)
	if len(left) == 0 {
		return nil
	}
	log.Warn("stopping a server that an earlier run left behind", "folder", dir, "processes", left)
	deadline := time.Now().Add(stopLimit)
	for _, pid := range left {
		// Only the main process takes the graceful signal; its helpers end with it,
		// or by themselves when it is already gone.
		if pid == main {
			_ = syscall.Kill(pid, graceful)
		}
	}
	for forced := false; len(left) > 0; left = processesIn(dir) {
		if time.Now().After(deadline) {
			if forced {
				return fmt.Errorf("processes %v of an earlier run do not end; end them and start again", left)
			}
			forced, deadline = true, time.Now().Add(10*time.Second)
			for _, pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		time.Sleep(pollEvery)
	}
	return nil
}

// processesIn lists the living processes whose working folder is dir. Where there
// is no /proc, it finds none and the server's own checks have to do.
func processesIn(dir string) []int {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil
	}
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is well formed
	var found []int
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != real {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		// A shell that looks around in the folder is not ours to end.
		if err == nil && isServer(pid) {
			found = append(found, pid)
		}
	}
	return found
}

func isServer(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return false
	}
	// An upgraded package leaves "… (deleted)" behind the name.
	name := filepath.Base(strings.TrimSuffix(exe, " (deleted)"))
	return name == "postgres" || strings.HasPrefix(name, "redis-") || strings.HasPrefix(name, "valkey-")
}
