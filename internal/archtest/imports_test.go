// Package archtest holds the architecture as tables and compares the code with
// them: who may import whom, who writes which table, and which files may run
// SQL of their own. A change of the architecture is a change of a table here,
// to be seen and argued about in review.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/shuke-crm/shuke/"

// domains in their order: each may import those before it, never those after.
var domains = []string{"identity", "merchants", "customers", "timeline", "catalog", "inventory", "segments", "points", "membership", "wallets", "rewards", "orders", "referrals", "imports", "forms", "member", "analytics", "operations"}

// file is a Go source file and what it imports of this module, as paths
// relative to the module's root.
type file struct {
	path    string // internal/orders/ingest.go
	folder  string
	test    bool
	imports []string
}

func (f file) name() string { return filepath.Base(f.path) }

// root is the module's folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, dir, parent, "no go.mod above the test")
		dir = parent
	}
}

// sources reads the imports of every file below internal and cmd.
func sources(t *testing.T) []file {
	t.Helper()
	base := root(t)
	var all []file
	for _, top := range []string{"internal", "cmd", "api", "ent"} {
		err := filepath.WalkDir(filepath.Join(base, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(base, path)
			if err != nil {
				return err
			}
			f := file{path: filepath.ToSlash(rel), test: strings.HasSuffix(path, "_test.go")}
			f.folder = filepath.ToSlash(filepath.Dir(f.path))
			for _, spec := range parsed.Imports {
				target, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				if rest, ours := strings.CutPrefix(target, module); ours {
					f.imports = append(f.imports, rest)
				}
			}
			all = append(all, f)
			return nil
		})
		require.NoError(t, err)
	}
	return all
}

// under reports whether a path is a folder or lies below it.
func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// domainOf is the domain whose folder a path lies in, or empty.
func domainOf(path string) string {
	for _, d := range domains {
		if under(path, "internal/"+d) {
			return d
		}
	}
	return ""
}

// refused says why a file may not import a package, or nothing.
func refused(f file, target string) string {
	domain, of := domainOf(f.path), domainOf(target)
	tool := under(f.path, "internal/tools")
	switch {
	case under(target, "internal/testkit") || under(target, "internal/platform/pgtest"):
		if !f.test && !under(f.path, "internal/testkit") && !under(f.path, "internal/platform/pgtest") {
			return "is for tests only"
		}
		return ""
	case f.test:
		return "" // a test may look at anything
	case under(f.path, "internal/platform"):
		if !under(target, "internal/platform") && !under(target, "ent") {
			return "platform knows neither domains nor the contract"
		}
	case under(f.path, "internal/fake"):
		if target != "internal/platform/config" {
			return "stand-ins share no code with what is tried on them"
		}
		return ""
	case under(target, "internal/fake") && !under(f.path, "cmd/shuke") && !under(f.path, "internal/testkit"):
		return "stand-ins are for tests and the command that starts them"
	case under(f.path, "ent"):
		if !under(target, "ent") && !under(target, "internal/platform") {
			return "entities know the platform only"
		}
	case under(f.path, "api"):
		if !under(target, "api") {
			return "generated from the contract alone"
		}
	case domain != "":
		switch {
		case of == domain || under(target, "internal/platform") || under(target, "ent"):
			return ""
		case under(target, "api"):
			if !strings.HasPrefix(f.name(), "http") {
				return "only http*.go of a domain speaks the contract"
			}
			// A contract may take schemas from those of domains before it.
			other := slices.Index(domains, strings.TrimPrefix(target, "api/"))
			if target != "api/common" && (other < 0 || other > slices.Index(domains, domain)) {
				return "a domain answers its own operations only"
			}
		case of != "":
			if slices.Index(domains, of) > slices.Index(domains, domain) {
				return "it comes after " + domain + " in the order of domains"
			}
		default:
			return "a domain imports the platform, entities and domains before it"
		}
	case under(f.path, "internal/contract"):
		if !under(target, "internal/platform") {
			return "the contract knows the platform only"
		}
	case under(f.path, "internal/server"), under(f.path, "internal/testkit"), under(f.path, "cmd"), tool:
		return ""
	}
	if under(target, "internal/server") && !under(f.path, "cmd") && !under(f.path, "internal/testkit") && !under(f.path, "internal/server") && !tool {
		return "the composition root is imported by commands only"
	}
	return ""
}

func TestImports(t *testing.T) {
	files := sources(t)
	require.Greater(t, len(files), 100, "the sources were not found")
	for _, f := range files {
		for _, target := range f.imports {
			if why := refused(f, target); why != "" {
				t.Errorf("%s imports %s: %s", f.path, target, why)
			}
		}
	}
}

// Each rule refuses what it is there for.
func TestImportRulesRefuse(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"internal/customers/manage.go", "internal/orders"},
		{"internal/customers/manage.go", "api/customers"},
		{"internal/customers/http.go", "api/orders"},
		{"internal/customers/manage.go", "internal/server"},
		{"internal/customers/manage.go", "internal/testkit"},
		{"internal/platform/audit/audit.go", "internal/identity"},
		{"internal/platform/audit/audit.go", "api/common"},
		{"internal/contract/contract.go", "internal/identity"},
		{"internal/fake/sms.go", "internal/platform/sms"},
		{"internal/server/server.go", "internal/fake"},
		{"api/orders/orders.gen.go", "internal/orders"},
	} {
		f := file{path: c.from, folder: filepath.Dir(c.from)}
		require.NotEmpty(t, refused(f, c.to), "%s -> %s", c.from, c.to)
	}
	for _, c := range []struct{ from, to string }{
		{"internal/orders/ingest.go", "internal/segments"},
		{"internal/orders/http.go", "api/orders"},
		{"internal/orders/http_lists.go", "api/common"},
		{"internal/server/server.go", "internal/orders"},
		{"cmd/shuke/main.go", "internal/server"},
		{"internal/orders/ingest.go", "ent/commerce"},
	} {
		f := file{path: c.from, folder: filepath.Dir(c.from)}
		require.Empty(t, refused(f, c.to), "%s -> %s", c.from, c.to)
	}
}
