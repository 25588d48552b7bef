// Command generate makes every generated file of the repository from its
// sources: the Go code of each domain's contract, the bundled contract, the Go
// client and the entity code. It is what `make generate` runs; a second run
// changes nothing.
//
// Domains are found by their files (api/<domain>/<domain>.yaml), entity
// packages by their schema folders (ent/<context>/schema): adding one needs no
// change here.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "comma-separated parts to run: ent, api, bundle, client, errors (default: all)")
	flag.Parse()
	if err := run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// parts in the order they run: the catalogue of errors is read out of the
// compiled domains, so it comes last.
var parts = []struct {
	name string
	run  func(root string) error
}{
	{"ent", generateEntities},
	{"api", generateDomains},
	{"bundle", generateBundle},
	{"client", generateClient},
	{"errors", generateErrors},
}

func run(only string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, name := range strings.Split(only, ",") {
		if name = strings.TrimSpace(name); name != "" {
			wanted[name] = true
		}
	}
	for _, part := range parts {
		if len(wanted) > 0 && !wanted[part.name] {
			continue
		}
		delete(wanted, part.name)
		start := time.Now()
		if err := part.run(root); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Printf("generated %-7s %6d ms\n", part.name, time.Since(start).Milliseconds())
		if only != "" && len(wanted) == 0 {
			break
		}
	}
	for name := range wanted {
		return fmt.Errorf("unknown part %q", name)
	}
	return nil
}

// moduleRoot lets the command be run from any folder of the repository.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", fmt.Errorf("not inside the module")
	}
	return filepath.Dir(mod), nil
}

// tool runs a tool pinned in go.mod and shows its output only when it fails.
func tool(root string, args ...string) error {
	cmd := exec.Command("go", append([]string{"tool"}, args...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// writeIfChanged keeps the modification time of files that stay the same, so
// that an unchanged run costs no rebuild.
func writeIfChanged(file string, content []byte) error {
	if old, err := os.ReadFile(file); err == nil && string(old) == string(content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}
