package main

import (
	"fmt"
	"os/exec"
)

// generateErrors writes docs/errors.md. The catalogue is filled by the packages
// of the service as they are loaded, so a program that links all of them
// writes it.
func generateErrors(root string) error {
	cmd := exec.Command("go", "run", "./internal/tools/errordocs")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("everything else is generated, but the service does not build: %w\n%s", err, out)
	}
	return nil
}
