// Command shuke is the whole product in one binary: the service, its worker,
// and the commands that look after them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the release build (-ldflags "-X main.version=…").
var version = ""

func main() {
	// The live heap is a few dozen megabytes: collecting it whenever it doubles
	// costs a quarter of the processor under load. GOGC still has the last word.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := rootCommand().ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintln(os.Stderr, "shuke:", err)
		}
		os.Exit(1)
	}
}

// errReported ends a command whose output already says what is wrong.
var errReported = errors.New("reported")

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "shuke",
		Short: "Customer relationship management for book and apparel retailers",
		Long: `Shuke serves an HTTP API over one PostgreSQL and one Redis.

Settings come from the environment (SHUKE_…) or from the file named by
SHUKE_CONFIG_FILE. Without SHUKE_DATABASE_URL and SHUKE_REDIS_URL it runs a
private PostgreSQL and Redis of its own in SHUKE_DATA_DIR.`,
		Version:       buildVersion(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(serveCommand(), workerCommand(), migrateCommand(), adminCommand(), verifyCommand(), keysCommand(), fakeCommand(), rolesCommand("roles-sql"))
	return root
}

// buildVersion is the release's version, or what the Go tool recorded.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "development"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	if revision == "" {
		return "development " + info.GoVersion
	}
	return revision + dirty + " " + info.GoVersion
}
