// Command errordocs writes docs/errors.md from the error catalogue.
//
//	go run ./internal/tools/errordocs            # writes docs/errors.md
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shuke-crm/shuke/internal/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "errordocs:", err)
		os.Exit(1)
	}
}

func run() error {
	path := filepath.Join("docs", "errors.md")
	text := server.ErrorDocs()
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return os.WriteFile(path, text, 0o644)
}
