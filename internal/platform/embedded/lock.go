package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

var errLocked = errors.New("the data folder is in use")

// lockFolder takes the data folder for this process. The kernel drops the lock
// when the process ends in any way, so there is no stale lock to clear.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		holder, _ := os.ReadFile(path) // informative only; empty for a moment after locking
		return nil, fmt.Errorf("%w: another service (process %s) runs on %s; stop it, set SHUKE_DATA_DIR to another folder, or give both SHUKE_DATABASE_URL and SHUKE_REDIS_URL of shared servers",
			errLocked, strings.TrimSpace(string(holder)), dir)
	}
	return f, nil
}

// sign leaves this process's id in the lock for the message that others get.
func sign(lock *os.File) {
	if err := lock.Truncate(0); err == nil {
		_, _ = lock.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
}
