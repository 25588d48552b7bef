package embedded

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// layout says where everything lies.
//
//	<data>/lock                     held while a service runs
//	<data>/servers.json             where the two folders below are
//	<data>/database-passwords.json  0600
//	<data>/postgres.out, redis.out  what the servers printed at their last start
//	<state>/postgres                the cluster
//	<state>/postgres-log            its log, one file a weekday
//	<state>/postgres-config         settings and access rules, written at each start
//	<state>/redis                   working folder
//	<sockets>                       the two sockets
//
// The cluster, the log, the working folder and the sockets belong to the servers'
// user and are closed to others (0700); everything above them does not, so that
// this user can never make a service that runs as root write elsewhere. <state> is the data folder itself and <sockets> is <state>/run, unless the
// servers' user cannot get there or the socket's path would be too long.
type layout struct {
	dataDir string
	state   string
	sockets string
	account *account // nil: run as this process's own user
}

// account is the unprivileged user that the servers run as.
type account struct {
	name     string
	uid, gid uint32
}

type folders struct {
	State   string `json:"state"`
	Sockets string `json:"sockets"`
}

// longestSocketPath is what sockaddr_un holds on Linux, less the closing zero.
const longestSocketPath = 107

// longestSocketName is the longest file name that is bound in the socket folder.
const longestSocketName = len("/.s.PGSQL.5432")

func (l *layout) foldersFile() string  { return filepath.Join(l.dataDir, "servers.json") }
func (l *layout) passwordFile() string { return filepath.Join(l.dataDir, "database-passwords.json") }
func (l *layout) clusterDir() string   { return filepath.Join(l.state, "postgres") }
func (l *layout) logDir() string       { return filepath.Join(l.state, "postgres-log") }
func (l *layout) configDir() string    { return filepath.Join(l.state, "postgres-config") }
func (l *layout) redisDir() string     { return filepath.Join(l.state, "redis") }
func (l *layout) redisSocket() string  { return filepath.Join(l.sockets, "redis.sock") }

// prepareLayout creates the data folder. When this process is root it also finds
// the user for the servers and lets that user pass through the data folder.
func prepareLayout(dataDir string) (*layout, error) {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	l := &layout{dataDir: dir}
	if os.Geteuid() == 0 {
		if l.account, err = findAccount(); err != nil {
			return nil, err
		}
	}
	mode := os.FileMode(0o700)
	if l.account != nil {
		mode = 0o711 // also for folders made on the way, or the servers' user could not pass
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return nil, fmt.Errorf("cannot create the data folder: %w; set SHUKE_DATA_DIR to a folder you may write", err)
	}
	return l, nil
}

// findAccount picks the user that the servers run as under root; PostgreSQL
// refuses to run as root itself.
func findAccount() (*account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root and there is neither a user postgres nor nobody; create one (useradd --system postgres) or run as another user")
}

// chooseFolders settles the state and socket folders, keeping an earlier choice.
func (l *layout) chooseFolders(log *slog.Logger) error {
	err := l.readFolders()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.chooseState(log); err != nil {
		return err
	}
	if err := l.chooseSockets(log); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(folders{State: l.state, Sockets: l.sockets}, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(l.foldersFile(), append(raw, '\n'), 0o600)
}

func (l *layout) readFolders() error {
	raw, err := os.ReadFile(l.foldersFile())
	if err != nil {
		return err
	}
	var f folders
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("%s is damaged: %w", l.foldersFile(), err)
	}
	l.state, l.sockets = f.State, f.Sockets
	return nil
}

// chooseState prefers the data folder. The servers' user must be able to reach
// it: below /root, say, nobody else can, so the servers' files then go to a
// folder of their own that servers.json records.
func (l *layout) chooseState(log *slog.Logger) error {
	switch {
	case l.state != "" && exists(l.state):
	case l.account == nil:
		l.state = l.dataDir
	default:
		// The data folder is ours to open for passing; folders above it are not.
		if err := os.Chmod(l.dataDir, 0o711); err != nil {
			return fmt.Errorf("cannot let user %s pass through the data folder: %w", l.account.name, err)
		}
		l.state = l.dataDir
		barrier := l.account.barrier(l.dataDir)
		for barrier != "" && openTemporary(barrier) {
			barrier = l.account.barrier(l.dataDir)
		}
		if barrier != "" {
			l.state = filepath.Join("/var/lib/shuke", randomHex(4))
			log.Info("the data folder cannot be reached by the servers' user; their files go elsewhere",
				"user", l.account.name, "closed_folder", barrier, "servers_folder", l.state)
		}
	}
	if err := os.MkdirAll(l.state, 0o711); err != nil {
		return fmt.Errorf("cannot create the servers' folder: %w; set SHUKE_DATA_DIR to a folder outside home folders, such as /var/lib/shuke-data", err)
	}
	if l.account != nil {
		if l.state != l.dataDir { // whatever the umask
			for _, dir := range []string{filepath.Dir(l.state), l.state} {
				if err := os.Chmod(dir, 0o711); err != nil {
					return err
				}
			}
		}
		if barrier := l.account.barrier(l.state); barrier != "" {
			return fmt.Errorf("user %s, which runs PostgreSQL and Redis, cannot enter %s; allow it (chmod o+x) or set SHUKE_DATA_DIR elsewhere, such as /var/lib/shuke-data", l.account.name, barrier)
		}
	}
	for _, dir := range []string{l.logDir(), l.redisDir()} {
		if err := l.private(dir); err != nil {
			return err
		}
	}
	return nil
}

// chooseSockets prefers a folder beside the data and falls back to a short one.
func (l *layout) chooseSockets(log *slog.Logger) error {
	preferred := filepath.Join(l.state, "run")
	if len(preferred)+longestSocketName <= longestSocketPath {
		l.sockets = preferred
		return l.private(preferred)
	}
	if l.isPrivate(l.sockets) {
		return nil
	}
	for _, base := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(base, "shuke-")
		if err != nil {
			continue
		}
		if len(dir)+longestSocketName > longestSocketPath || (l.account != nil && l.account.barrier(base) != "") {
			_ = os.Remove(dir)
			continue
		}
		l.sockets = dir
		log.Info("the data folder's path is too long for unix sockets; they go elsewhere", "sockets_folder", dir)
		return l.private(dir)
	}
	return fmt.Errorf("the path of the data folder is too long for a unix socket and no short folder could be made in %s; set SHUKE_DATA_DIR to a shorter path", os.TempDir())
}

// private makes a folder that only the servers' user (and root) may enter.
func (l *layout) private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if l.account != nil {
		if err := os.Lchown(dir, int(l.account.uid), int(l.account.gid)); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o700)
}

// isPrivate reports whether dir is still the closed folder that private made;
// a folder in a shared place may have been cleaned away and planted anew.
func (l *layout) isPrivate(dir string) bool {
	info, err := os.Lstat(dir)
	if dir == "" || err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return false
	}
	owner := uint32(os.Geteuid())
	if l.account != nil {
		owner = l.account.uid
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == owner
}

// barrier returns the first folder on the way to dir that the account may not pass, or "".
func (a *account) barrier(dir string) string {
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return dir
	}
	path := "/"
	for _, part := range append([]string{""}, strings.Split(strings.Trim(resolved, "/"), "/")...) {
		path = filepath.Join(path, part)
		info, err := os.Stat(path)
		if err != nil {
			return path
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return path
		}
		mode := info.Mode().Perm()
		var open bool
		switch {
		case st.Uid == a.uid:
			open = mode&0o100 != 0
		case st.Gid == a.gid:
			open = mode&0o010 != 0
		default:
			open = mode&0o001 != 0
		}
		if !open {
			return path
		}
	}
	return ""
}

// openTemporary lets others pass through (not list) a folder made for this process
// in the system's temporary folder, as tests do: moving the servers' files
// elsewhere would leave them behind when the folder is deleted.
func openTemporary(dir string) bool {
	temporary, err := filepath.EvalSymlinks(os.TempDir())
	info, statErr := os.Stat(dir)
	if err != nil || statErr != nil || !strings.HasPrefix(dir, temporary+"/") {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o001 != 0 {
		return false
	}
	return os.Chmod(dir, info.Mode().Perm()|0o001) == nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// writeFile replaces a file as a whole and makes it durable.
func writeFile(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone after the rename; left over otherwise
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails; the runtime aborts instead
	return hex.EncodeToString(b)
}
