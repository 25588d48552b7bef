package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/shuke-crm/shuke/internal/tools/specbundle"
)

const module = "github.com/shuke-crm/shuke"

// codegen is the part of oapi-codegen's configuration used here.
type codegen struct {
	Package       string            `yaml:"package"`
	Generate      map[string]bool   `yaml:"generate"`
	ImportMapping map[string]string `yaml:"import-mapping,omitempty"`
	OutputOptions map[string]any    `yaml:"output-options"`
}

// generateDomains writes api/<domain>/<domain>.gen.go for the shared parts and
// for every domain: models, Echo server and strict server.
func generateDomains(root string) error {
	domains, err := specbundle.Domains(filepath.Join(root, "api"))
	if err != nil {
		return err
	}
	for _, domain := range append([]string{"common"}, domains...) {
		source := filepath.Join(root, "api", domain, domain+".yaml")
		imports, err := foreignFiles(source)
		if err != nil {
			return err
		}
		config := codegen{
			Package:       domain + "api",
			Generate:      map[string]bool{"models": true, "echo-server": true, "strict-server": true},
			ImportMapping: imports,
			// The shared parts have no operations, so without skip-prune nothing of them would be left.
			// Operations tagged ops are answered by the server itself, which has no domain's handler to generate.
			OutputOptions: map[string]any{"nullable-type": true, "skip-prune": domain == "common", "exclude-tags": []string{"ops"}},
		}
		if err := oapiCodegen(root, config, source, filepath.Join(root, "api", domain, domain+".gen.go")); err != nil {
			return err
		}
	}
	return nil
}

var foreign = regexp.MustCompile(`\$ref:\s*['"]?(\.\./([a-z0-9_]+)/[a-z0-9_]+\.yaml)#`)

// foreignFiles maps the files that a source refers to onto their Go packages.
// Only those: the generated import names are numbered, so a mapping of all
// domains would change every file whenever one is added.
func foreignFiles(source string) (map[string]string, error) {
	text, err := os.ReadFile(source)
	if err != nil {
		return nil, err
	}
	imports := map[string]string{}
	for _, m := range foreign.FindAllStringSubmatch(string(text), -1) {
		imports[m[1]] = module + "/api/" + m[2]
	}
	return imports, nil
}

// generateBundle writes the joined contract, and the copy that the binary embeds.
func generateBundle(root string) error {
	bundle, err := specbundle.Bundle(filepath.Join(root, "api"))
	if err != nil {
		return err
	}
	for _, file := range []string{"openapi.yaml", filepath.Join("internal", "contract", "openapi.yaml")} {
		if err := writeIfChanged(filepath.Join(root, file), bundle); err != nil {
			return err
		}
	}
	return nil
}

// generateClient writes the Go client for the whole contract.
func generateClient(root string) error {
	config := codegen{
		Package:  "client",
		Generate: map[string]bool{"models": true, "client": true},
		// "Reply" because schemas of the contract end in Response now and then.
		OutputOptions: map[string]any{"nullable-type": true, "response-type-suffix": "Reply"},
	}
	return oapiCodegen(root, config, filepath.Join(root, "openapi.yaml"), filepath.Join(root, "api", "client", "client.gen.go"))
}

func oapiCodegen(root string, config codegen, source, output string) error {
	dir, err := os.MkdirTemp("", "generate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	text, err := yaml.Marshal(config)
	if err != nil {
		return err
	}
	configFile, made := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "made.go")
	if err := os.WriteFile(configFile, text, 0o600); err != nil {
		return err
	}
	if err := tool(root, "oapi-codegen", "-config", configFile, "-o", made, source); err != nil {
		return err
	}
	code, err := os.ReadFile(made)
	if err != nil {
		return err
	}
	return writeIfChanged(output, code)
}

// entFeatures is what the entity code is generated with unless
// ent/features.txt says otherwise.
var entFeatures = []string{"sql/lock", "sql/modifier", "sql/execquery", "sql/versioned-migration", "privacy", "intercept"}

// generateEntities runs ent for every context that has a schema folder.
func generateEntities(root string) error {
	features := entFeatures
	if text, err := os.ReadFile(filepath.Join(root, "ent", "features.txt")); err == nil {
		features = slices.DeleteFunc(regexp.MustCompile(`[\s,]+`).Split(string(text), -1), func(s string) bool { return s == "" })
	}
	schemas, err := filepath.Glob(filepath.Join(root, "ent", "*", "schema"))
	if err != nil {
		return err
	}
	for _, schema := range schemas {
		rel, err := filepath.Rel(root, schema)
		if err != nil {
			return err
		}
		args := []string{"ent", "generate"}
		for _, f := range features {
			args = append(args, "--feature", f)
		}
		if templates, _ := filepath.Glob(filepath.Join(root, "ent", "template", "*.tmpl")); len(templates) > 0 {
			args = append(args, "--template", "glob=./ent/template/*.tmpl")
		}
		if err := tool(root, append(args, "./"+filepath.ToSlash(rel))...); err != nil {
			return fmt.Errorf("%s: %w", rel, err)
		}
	}
	return nil
}
