// Command migrationdiff writes the SQL that takes the database from the
// migrations committed so far to what the entities of all contexts declare,
// and renews the checksum file. Without a difference it writes no SQL, so it
// also refreshes the checksum after a hand-written migration.
//
//	go run ./internal/tools/migrationdiff add_customer_nickname
//
// It replays all migrations in an empty private database. With -check it only
// reports whether there is a difference (exit status 1).
package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
	atlasschema "ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqltool"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	_ "github.com/lib/pq" // the driver

	"github.com/shuke-crm/shuke/ent"
	"github.com/shuke-crm/shuke/internal/platform/embedded"
)

const dir = "ent/migrations"

func main() {
	check := flag.Bool("check", false, "only report whether entities and migrations differ")
	flag.Parse()
	if err := run(context.Background(), flag.Arg(0), *check); err != nil {
		fmt.Fprintln(os.Stderr, "migrationdiff:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name string, check bool) error {
	if name == "" {
		name = "change"
	}
	data, err := os.MkdirTemp("", "shuke-diff-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	servers, err := embedded.Start(ctx, embedded.Options{DataDir: data, Unsafe: true, Postgres: true})
	if err != nil {
		return err
	}
	defer servers.Stop()

	target := dir
	if check {
		// A copy, so that a check never writes into the tree.
		target = filepath.Join(data, "migrations")
		if err := os.CopyFS(target, os.DirFS(dir)); err != nil {
			return err
		}
	}
	migrations, err := sqltool.NewGooseDir(target)
	if err != nil {
		return err
	}
	if err := seal(migrations); err != nil {
		return err
	}
	before, err := migrations.Files()
	if err != nil {
		return err
	}
	db, err := sql.Open("postgres", servers.OwnerURL)
	if err != nil {
		return err
	}
	defer db.Close()
	tables, err := ent.Tables()
	if err != nil {
		return err
	}
	m, err := schema.NewMigrate(entsql.OpenDB(dialect.Postgres, db),
		schema.WithDir(migrations),
		schema.WithFormatter(sqltool.GooseFormatter),
		schema.WithMigrationMode(schema.ModeReplay),
		schema.WithDialect(dialect.Postgres),
		schema.WithDropColumn(true),
		schema.WithDropIndex(true),
		schema.WithDiffHook(keepExpressionIndexes),
	)
	if err != nil {
		return err
	}
	if err := m.NamedDiff(ctx, name, tables...); err != nil {
		return err
	}
	after, err := migrations.Files()
	if err != nil {
		return err
	}
	if check && len(after) != len(before) {
		return fmt.Errorf("entities and migrations differ; run: make migration name=…\n%s", after[len(after)-1].Bytes())
	}
	return nil
}

// keepExpressionIndexes leaves alone what entities cannot declare: indexes on
// expressions, written by hand under a name that says so (…_expr_idx, …_expr_key).
func keepExpressionIndexes(next schema.Differ) schema.Differ {
	return schema.DiffFunc(func(current, desired *atlasschema.Schema) ([]atlasschema.Change, error) {
		changes, err := next.Diff(current, desired)
		if err != nil {
			return nil, err
		}
		kept := changes[:0]
		for _, c := range changes {
			if t, ok := c.(*atlasschema.ModifyTable); ok {
				t.Changes = slices.DeleteFunc(t.Changes, func(c atlasschema.Change) bool {
					d, ok := c.(*atlasschema.DropIndex)
					return ok && (strings.HasSuffix(d.I.Name, "_expr_idx") || strings.HasSuffix(d.I.Name, "_expr_key"))
				})
				if len(t.Changes) == 0 {
					continue
				}
			}
			kept = append(kept, c)
		}
		return kept, nil
	})
}

// seal renews the checksum file, as hand-written migrations need it.
func seal(d atlas.Dir) error {
	sum, err := d.Checksum()
	if err != nil {
		return err
	}
	return atlas.WriteSumFile(d, sum)
}
