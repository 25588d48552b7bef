package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// BinariesVariable names an environment variable with further folders to search
// for server programs, separated by colons and searched first.
const BinariesVariable = "SHUKE_SERVER_BINARIES"

// findPostgres returns the folder of initdb and postgres: of the wanted major
// version, or the newest when wanted is 0.
func findPostgres(wanted int) (string, error) {
	best, bestMajor := "", 0
	for _, dir := range postgresFolders() {
		if !executable(filepath.Join(dir, "postgres")) || !executable(filepath.Join(dir, "initdb")) {
			continue
		}
		major := majorOf(dir)
		if wanted != 0 && major == wanted {
			return dir, nil
		}
		if wanted == 0 && major > bestMajor {
			best, bestMajor = dir, major
		}
	}
	if best != "" {
		return best, nil
	}
	if wanted != 0 {
		return "", fmt.Errorf("the data was written by PostgreSQL %d, which is not installed; install postgresql-%d, or dump with that version and load into a new data folder", wanted, wanted)
	}
	return "", errors.New("no PostgreSQL server programs were found (looked in /usr/lib/postgresql/*/bin, .local and PATH); run scripts/setup, or install the postgresql package, or set SHUKE_DATABASE_URL")
}

// postgresFolders lists candidate folders, those named by the user first.
func postgresFolders() []string {
	found := filepath.SplitList(os.Getenv(BinariesVariable))
	for _, root := range append(localRoots(), "/") {
		versions, _ := filepath.Glob(filepath.Join(root, "usr/lib/postgresql/*/bin")) // the pattern is well formed
		found = append(found, versions...)
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			found = append(found, filepath.Dir(real))
		}
	}
	return found
}

// majorOf asks the program itself; a folder's name proves nothing.
func majorOf(dir string) int {
	cmd := exec.Command(filepath.Join(dir, "postgres"), "--version")
	cmd.Env = environment(librariesFor(dir))
	out, err := cmd.Output() // "postgres (PostgreSQL) 15.18 (Debian …)"
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(out))
	if len(fields) < 3 {
		return 0
	}
	digits := strings.FieldsFunc(fields[2], func(r rune) bool { return r < '0' || r > '9' })
	if len(digits) == 0 {
		return 0
	}
	major, _ := strconv.Atoi(digits[0])
	return major
}

// findRedis returns the path of the server program.
func findRedis() (string, error) {
	folders := filepath.SplitList(os.Getenv(BinariesVariable))
	for _, root := range append(localRoots(), "/") {
		folders = append(folders, filepath.Join(root, "usr/bin"), filepath.Join(root, "usr/local/bin"))
	}
	folders = append(folders, filepath.SplitList(os.Getenv("PATH"))...)
	for _, name := range []string{"redis-server", "valkey-server"} {
		for _, dir := range folders {
			if path := filepath.Join(dir, name); executable(path) {
				return path, nil
			}
		}
	}
	return "", errors.New("no redis-server was found (looked in /usr/bin, .local and PATH); run scripts/setup, or install the redis-server package, or set SHUKE_REDIS_URL")
}

// localRoots are the folders where scripts/setup unpacks servers when it may not
// install them: .local above the working folder or beside the program's folder.
func localRoots() []string {
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if path, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(path))
	}
	var roots []string
	for _, dir := range starts {
		for ; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
			root := filepath.Join(dir, ".local")
			// The script's stamp: ~/.local has another meaning.
			if exists(filepath.Join(root, "shuke-servers")) && !slices.Contains(roots, root) {
				roots = append(roots, root)
			}
		}
	}
	return roots
}

// librariesFor returns the library path of programs unpacked outside the system, or "".
func librariesFor(path string) string {
	root, _, found := strings.Cut(path, "/usr/")
	if !found || root == "" {
		return ""
	}
	var dirs []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib", "lib"} {
		match, _ := filepath.Glob(filepath.Join(root, pattern)) // the pattern is well formed
		dirs = append(dirs, match...)
	}
	return strings.Join(dirs, ":")
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode().Perm()&0o111 != 0
}
