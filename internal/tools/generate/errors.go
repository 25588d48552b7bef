package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// generateErrors writes docs/errors.md. The catalogue is filled by the
// packages of the service as they are loaded, so it is read out of a program
// that links all of them.
func generateErrors(root string) error {
	cmd := exec.Command("go", "run", "./internal/tools/errorlist")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	page, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("everything else is generated, but the service does not build: %w", err)
	}
	return writeIfChanged(filepath.Join(root, "docs", "errors.md"), page)
}
