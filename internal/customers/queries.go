package customers

import (
	"strings"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// clause is a piece of SQL over customers c with ? for its arguments.
type clause struct {
	sql  string
	args []any
}

func (c *clause) and(sql string, args ...any) {
	if c.sql != "" {
		c.sql += " AND "
	}
	c.sql += sql
	c.args = append(c.args, args...)
}

// scopeClause is a scope as a condition.
func scopeClause(sc auth.Scope) clause {
	var c clause
	switch {
	case sc.All:
		c.and("TRUE")
	case len(sc.StoreIDs) > 0 && len(sc.OwnStaff) > 0:
		c.and("(c.home_store_id = ANY(?::uuid[]) OR c.assigned_staff_id = ANY(?::uuid[]))", pgarray.UUIDs(sc.StoreIDs), pgarray.UUIDs(sc.OwnStaff))
	case len(sc.StoreIDs) > 0:
		c.and("c.home_store_id = ANY(?::uuid[])", pgarray.UUIDs(sc.StoreIDs))
	case len(sc.OwnStaff) == 1:
		c.and("c.assigned_staff_id = ?", sc.OwnStaff[0])
	case len(sc.OwnStaff) > 1:
		c.and("c.assigned_staff_id = ANY(?::uuid[])", pgarray.UUIDs(sc.OwnStaff))
	default:
		c.and("FALSE")
	}
	return c
}

// numbered is the clause as a statement of its own.
func (c clause) numbered() string {
	var b strings.Builder
	n := 0
	for i := range len(c.sql) {
		if c.sql[i] == '?' {
			n++
			b.WriteString("$" + itoa(n))
			continue
		}
		b.WriteByte(c.sql[i])
	}
	return b.String()
}
