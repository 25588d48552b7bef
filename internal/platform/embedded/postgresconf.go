package embedded

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// writeConfig writes settings and access rules. They are written anew at each
// start; custom.conf in the same folder is read last and never touched.
func writeConfig(l *layout, bin string, unsafe bool) error {
	dir := l.configDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask; there is no secret in it
		return err
	}
	me, err := systemUser()
	if err != nil {
		return err
	}
	// Made once, then the operator's.
	custom := filepath.Join(dir, "custom.conf")
	if !exists(custom) {
		if err := writeFile(custom, []byte("# Your own settings of the private PostgreSQL; read last, never overwritten.\n"), 0o644); err != nil {
			return err
		}
	}
	files := map[string]string{
		"pg_hba.conf": "# Written at each start.\n" +
			"local all " + superuser + " peer map=service\n" +
			"local all all scram-sha-256\n",
		"pg_ident.conf":   "# Written at each start.\nservice \"" + me + "\" " + superuser + "\n",
		"postgresql.conf": settings(l, bin, unsafe),
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if old, err := os.ReadFile(path); err == nil && string(old) == content {
			continue
		}
		if err := writeFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const (
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

// settings is postgresql.conf for a machine shared with the service itself.
func settings(l *layout, bin string, unsafe bool) string {
	ram := memory()
	size := func(bytes int64) string { return strconv.FormatInt(bytes/mebibyte, 10) + "MB" }
	clamp := func(bytes, low, high int64) int64 { return max(low, min(high, bytes)) }

	lines := []string{
		"# Written at each start. Put your own settings into custom.conf in this folder.",
		"max_connections = 100",
		// Pages count only once used, so an idle service stays small.
		"shared_buffers = " + size(clamp(ram/24, 128*mebibyte, gibibyte)),
		"effective_cache_size = " + size(clamp(ram/2, 256*mebibyte, 64*gibibyte)),
		"maintenance_work_mem = " + size(clamp(ram/48, 64*mebibyte, 512*mebibyte)),
		"work_mem = 8MB",
		"dynamic_shared_memory_type = " + sharedMemory(l),
		"random_page_cost = 1.1",
		"effective_io_concurrency = 100",
		// Queries are short; compiling them costs more than it saves.
		"jit = off",

		"wal_compression = " + walCompression(l, bin),
		"max_wal_size = 2GB",
		"min_wal_size = 128MB",
		"checkpoint_timeout = 15min",

		"password_encryption = scram-sha-256",
		"timezone = 'UTC'",
		"log_timezone = 'UTC'",
		"datestyle = 'iso, ymd'",
		"lc_messages = 'C'",
		"idle_in_transaction_session_timeout = 5min",

		"logging_collector = on",
		"log_directory = " + quoteSetting(l.logDir()),
		"log_filename = 'postgresql-%a.log'",
		"log_truncate_on_rotation = on",
		"log_rotation_age = 1d",
		"log_rotation_size = 0",
		"log_file_mode = 0600",
		"log_line_prefix = '%m [%p] %u@%d '",
		// Statements, parameters and details of errors may hold personal data.
		"log_statement = none",
		"log_min_error_statement = panic",
		"log_error_verbosity = terse",
		"log_parameter_max_length = 0",
		"log_parameter_max_length_on_error = 0",
		"log_checkpoints = off",
	}
	if unsafe {
		lines = append(lines, "fsync = off", "synchronous_commit = off", "full_page_writes = off",
			"wal_level = minimal", "max_wal_senders = 0", "max_wal_size = 8GB")
	} else {
		lines = append(lines, "fsync = on", "synchronous_commit = on", "full_page_writes = on")
	}
	lines = append(lines, "include = 'custom.conf'")
	return strings.Join(lines, "\n") + "\n"
}

func quoteSetting(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// sharedMemory is the method that initdb found to work here; containers often
// have no usable /dev/shm.
func sharedMemory(l *layout) string {
	raw, err := os.ReadFile(filepath.Join(l.clusterDir(), "postgresql.conf"))
	if err == nil {
		for _, line := range strings.Split(string(raw), "\n") {
			if name, value, _ := strings.Cut(line, "="); strings.TrimSpace(name) == "dynamic_shared_memory_type" {
				if fields := strings.Fields(value); len(fields) > 0 {
					return fields[0]
				}
			}
		}
	}
	return "posix"
}

// walCompression prefers lz4, which costs a fraction of the built-in method; not
// every build has it, so the program is asked.
func walCompression(l *layout, bin string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "-D", l.clusterDir(), "-c", "wal_compression=lz4", "-C", "wal_compression")
	cmd.Dir, cmd.Env = l.clusterDir(), environment(librariesFor(bin))
	cmd.SysProcAttr = childAttributes(l.account, syscall.SIGKILL)
	runtime.LockOSThread() // the death signal is bound to this thread
	defer runtime.UnlockOSThread()
	if out, err := cmd.Output(); err == nil && strings.TrimSpace(string(out)) == "lz4" {
		return "lz4"
	}
	return "on"
}

// memory is what this process may use, in bytes: the machine's, or the
// container's when that is less.
func memory() int64 {
	total := int64(gibibyte) // a cautious guess where the kernel does not tell
	if raw, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(raw), "MemTotal: %d kB", &kib); err == nil {
			total = kib * 1024
		}
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err == nil && limit > 0 {
			total = min(total, limit)
		}
	}
	return total
}
