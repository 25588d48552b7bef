package pgtest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/shuke-crm/shuke/ent/migrations"
	"github.com/shuke-crm/shuke/ent/views"
	"github.com/shuke-crm/shuke/internal/platform/embedded"
)

// The shared folder:
//
//	start        exclusive: a process looks whether the helper runs, and starts it
//	server       exclusive: held by the helper while it lives
//	use          shared: held by every test process; exclusive: by the helper that ends
//	servers.json addresses, written when the template is ready
//	helper.log   what the helper printed
//	data-<pid>   the servers' data
type server struct {
	AppURL, OwnerURL, AdminURL string
	use                        *os.File // the hold of this process

	mu    sync.Mutex
	admin *sql.DB
}

const (
	templateName  = "shuke"
	serveVariable = "SHUKE_PGTEST_SERVE"
	readyLimit    = 2 * time.Minute
)

var shared = sync.OnceValues(attach)

// folder is where this user's tests of this schema meet.
func folder() (string, error) {
	h := sha256.New()
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return "", err
	}
	for _, f := range files {
		b, err := fs.ReadFile(migrations.FS, f)
		if err != nil {
			return "", err
		}
		h.Write([]byte(f))
		h.Write(b)
	}
	h.Write([]byte(views.BI))
	h.Write([]byte(embedded.RolesSQL))
	sum := hex.EncodeToString(h.Sum(nil)[:4])
	return filepath.Join(os.TempDir(), fmt.Sprintf("shuke-test-%d-%s", os.Geteuid(), sum)), nil
}

// attach finds or starts the helper, and holds it for the life of this process.
func attach() (*server, error) {
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	if err := ownFolder(dir); err != nil {
		return nil, err
	}
	use, err := lock(dir, "use", syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	s, err := findOrStart(dir)
	if err != nil {
		_ = use.Close()
		return nil, err
	}
	s.use = use
	return s, nil
}

// ownFolder makes the folder and refuses one that somebody else laid out.
func ownFolder(dir string) error {
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || (ok && int(st.Uid) != os.Geteuid()) {
		return fmt.Errorf("%s belongs to another user", dir)
	}
	return os.Chmod(dir, 0o711) // PostgreSQL's own user passes through when we are root
}

func findOrStart(dir string) (*server, error) {
	start, err := lock(dir, "start", syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer func() { _ = start.Close() }()
	if helperLives(dir) {
		return awaitReady(dir, nil)
	}
	_ = os.Remove(filepath.Join(dir, "servers.json"))
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "helper.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	// Neither its output nor its group may be ours: "go test" waits for whoever
	// holds a test's output, and Ctrl-C must not reach servers others use.
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), serveVariable+"="+dir)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, workingFolder()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	return awaitReady(dir, ended)
}

// workingFolder is the test's: server programs unpacked by scripts/setup are
// found above it.
func workingFolder() string {
	dir, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return dir
}

// helperLives reports whether somebody holds the server lock.
func helperLives(dir string) bool {
	f, err := lock(dir, "server", syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return true
	}
	_ = f.Close()
	return false
}

func awaitReady(dir string, ended <-chan struct{}) (*server, error) {
	deadline := time.Now().Add(readyLimit)
	for {
		if raw, err := os.ReadFile(filepath.Join(dir, "servers.json")); err == nil {
			s := &server{}
			return s, json.Unmarshal(raw, s)
		}
		select {
		case <-ended:
			return nil, fmt.Errorf("the helper ended: %s", logTail(dir))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("the helper is not ready after %v: %s", readyLimit, logTail(dir))
		}
	}
}

func logTail(dir string) string {
	raw, err := os.ReadFile(filepath.Join(dir, "helper.log"))
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-3000):])
}

// lock opens and locks a file of the folder; closing it, or the end of the
// process, unlocks.
func lock(dir, name string, how int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

// asAdmin runs f as the superuser.
func (s *server) asAdmin(ctx context.Context, f func(*sql.DB) error) error {
	s.mu.Lock()
	if s.admin == nil {
		admin, err := sql.Open("postgres", withDatabase(s.AdminURL, "postgres"))
		if err != nil {
			s.mu.Unlock()
			return err
		}
		admin.SetMaxOpenConns(2)
		admin.SetMaxIdleConns(1)
		s.admin = admin
	}
	s.mu.Unlock()
	return f(s.admin)
}

// dataFolder is new for each helper: what a killed one left may be torn.
func dataFolder(dir string) string { return filepath.Join(dir, "data-"+strconv.Itoa(os.Getpid())) }
