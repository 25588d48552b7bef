package embedded

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/lib/pq"
)

// Names of the database roles.
const (
	OwnerRole = "shuke_owner" // owns the database; migrations
	AppRole   = "shuke_app"   // the service
	BIRole    = "shuke_bi"    // reads reporting views
)

// RolesSQL is the psql script that prepares a PostgreSQL server for the service.
//
//go:embed roles.sql
var RolesSQL string

// Passwords of the three roles.
type Passwords struct {
	Owner string `json:"owner"`
	App   string `json:"app"`
	BI    string `json:"bi"`
}

// EnsureRoles runs RolesSQL as a superuser: roles, database and privileges exist
// afterwards, with these passwords. It may be repeated.
func EnsureRoles(ctx context.Context, superuserDSN string, p Passwords) error {
	connection, err := pq.NewConfig(superuserDSN)
	if err != nil {
		return err
	}
	for _, part := range scriptParts(RolesSQL) {
		if part.database != "" {
			connection.Database = part.database
		}
		if err := runPart(ctx, connection, part, p); err != nil {
			return err
		}
	}
	return nil
}

// scriptPart is what runs on one connection.
type scriptPart struct {
	database   string // "" means that of the address
	statements []scriptStatement
}

type scriptStatement struct {
	text string
	exec bool // the result's rows are statements to run (\gexec)
}

// scriptParts reads the small part of psql's language that RolesSQL uses, so that
// the script people run by hand is the one the service and its tests run.
func scriptParts(script string) []scriptPart {
	parts := []scriptPart{{}}
	var pending []string
	flush := func(last string, exec bool) {
		text := strings.TrimSpace(strings.Join(append(pending, last), "\n"))
		pending = nil
		current := &parts[len(parts)-1]
		current.statements = append(current.statements, scriptStatement{text, exec})
	}
	for _, line := range strings.Split(script, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "--"):
		case strings.HasPrefix(line, `\connect `):
			parts = append(parts, scriptPart{database: strings.TrimSpace(strings.TrimPrefix(line, `\connect `))})
		case strings.HasSuffix(line, `\gexec`):
			flush(strings.TrimSuffix(line, `\gexec`), true)
		case strings.HasSuffix(line, ";"):
			flush(line, false)
		default:
			pending = append(pending, line)
		}
	}
	return parts
}

func runPart(ctx context.Context, connection pq.Config, part scriptPart, p Passwords) error {
	connector, err := pq.NewConnectorConfig(connection)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	fill := strings.NewReplacer(
		":'owner_password'", pq.QuoteLiteral(p.Owner),
		":'app_password'", pq.QuoteLiteral(p.App),
		":'bi_password'", pq.QuoteLiteral(p.BI),
	)
	for _, statement := range part.statements {
		run := []string{fill.Replace(statement.text)}
		if statement.exec {
			if run, err = stringRows(ctx, db, statement.text); err != nil {
				return fmt.Errorf("preparing the database: %w", err)
			}
		}
		for _, text := range run {
			if _, err := db.ExecContext(ctx, text); err != nil {
				// The script's own text, without the passwords filled in.
				return fmt.Errorf("preparing the database: %q: %w", statement.text, err)
			}
		}
	}
	return nil
}

func stringRows(ctx context.Context, db *sql.DB, query string) ([]string, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// ensureCluster prepares roles and database of the private server, at every start:
// an earlier one may have been cut short or have used an older script. The
// passwords are made once; a lost file gets new ones, which nobody else knows anyway.
func ensureCluster(ctx context.Context, l *layout) error {
	p, err := readPasswords(l.passwordFile())
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		p = Passwords{Owner: randomHex(24), App: randomHex(24), BI: randomHex(24)}
		raw, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			return err
		}
		if err := writeFile(l.passwordFile(), append(raw, '\n'), 0o600); err != nil {
			return err
		}
	}
	return EnsureRoles(ctx, l.dsn(superuser, "", "postgres"), p)
}

func readPasswords(path string) (Passwords, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Passwords{}, err
	}
	var p Passwords
	if err := json.Unmarshal(raw, &p); err != nil || p.Owner == "" || p.App == "" || p.BI == "" {
		return Passwords{}, fmt.Errorf("%s is damaged; delete it and new passwords are made at the next start", path)
	}
	return p, nil
}

// ping reports whether the address can be logged in to.
func ping(ctx context.Context, dsn string) error {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}
