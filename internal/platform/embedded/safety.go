package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// CheckSafety refuses a connection that could lose acknowledged commits or whose
// role could change or bypass the rules of the tables. allowUnsafe, the explicit
// development flag, accepts it all the same; see Findings for a warning then.
// Errors: the findings, each with what to do; a failing query.
func CheckSafety(ctx context.Context, db *sql.DB, allowUnsafe bool) error {
	found, err := Findings(ctx, db)
	if err != nil {
		return err
	}
	if len(found) == 0 || allowUnsafe {
		return nil
	}
	return fmt.Errorf("the database connection is not safe to serve from (SHUKE_DEVELOPMENT=true accepts it for development):\n  - %s", strings.Join(found, "\n  - "))
}

// Findings lists what is unsafe about a connection, each with what to do.
func Findings(ctx context.Context, db *sql.DB) ([]string, error) {
	roles, err := roleFindings(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("checking the database role: %w", err)
	}
	settings, err := durabilityFindings(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("checking the database settings: %w", err)
	}
	return append(roles, settings...), nil
}

func roleFindings(ctx context.Context, db *sql.DB) ([]string, error) {
	var (
		name                                      string
		super, bypass, createRole, ownsDB, ownsIt bool
	)
	// Membership counts as ownership: SET ROLE would do. The session's own role is
	// asked for, since SET ROLE in the address can be undone.
	err := db.QueryRowContext(ctx, `
		SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
		       EXISTS (SELECT FROM pg_database d WHERE d.datname = current_database() AND pg_has_role(r.oid, d.datdba, 'MEMBER')),
		       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		               WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
		                 AND pg_has_role(r.oid, c.relowner, 'MEMBER'))
		FROM pg_roles r WHERE r.rolname = session_user`,
	).Scan(&name, &super, &bypass, &createRole, &ownsDB, &ownsIt)
	if err != nil {
		return nil, err
	}
	const remedy = "; create the roles with `shuke migrate roles` and connect as " + AppRole
	if super { // a superuser is everything below as well
		return []string{"role " + name + " is a superuser" + remedy}, nil
	}
	var found []string
	add := func(is bool, what string) {
		if is {
			found = append(found, "role "+name+" "+what+remedy)
		}
	}
	add(bypass, "bypasses row security")
	add(createRole, "may create roles")
	add(ownsDB, "owns the database")
	add(ownsIt, "owns tables")
	return found, nil
}

func durabilityFindings(ctx context.Context, db *sql.DB) ([]string, error) {
	var found []string
	for _, check := range []struct{ setting, remedy string }{
		{"fsync", "a crash can destroy the data; set fsync = on in postgresql.conf"},
		{"full_page_writes", "a crash can tear pages; set full_page_writes = on in postgresql.conf"},
		{"synchronous_commit", "a crash can lose acknowledged writes; set synchronous_commit = on for the server and the role"},
		{"data_checksums", "silent disk errors go unnoticed; stop the server and run pg_checksums --enable"},
	} {
		var value string
		if err := db.QueryRowContext(ctx, "SELECT current_setting($1)", check.setting).Scan(&value); err != nil {
			return nil, err
		}
		if value == "off" {
			found = append(found, check.setting+" is off: "+check.remedy)
		}
	}
	return found, nil
}
