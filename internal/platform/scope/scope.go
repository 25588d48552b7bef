// Package scope is the data-scope rule of the privacy layer: which rows of an
// entity an actor may see or change. Every scoped entity names its two scope
// columns in Policy; a query without an actor is refused (default deny).
package scope

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"entgo.io/ent"
	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Columns are where a row says to which store and which assistant it belongs.
// An empty name means the entity has no such column.
type Columns struct {
	Store string // column holding the store id
	Staff string // column holding the assigned assistant's staff id
	// Member is the column holding the customer's id: how far a customer sees on
	// their own side of the API. Without it members see nothing of the entity.
	Member string
	// OtherStore is a second column holding a store: of what passes between two.
	OtherStore string
	// Workplace shows a store's rows also to those whose own customers only are in
	// the scope, if they work in that store: what concerns no customer.
	Workplace bool
	// Gone is a column that, when set, says that the row is only kept for what it
	// was. Such rows do not exist but for WithGone.
	Gone string
}

type goneKey struct{}

// WithGone also sees rows that are kept only for what they were.
func WithGone(ctx context.Context) context.Context { return context.WithValue(ctx, goneKey{}, true) }

// Policy restricts queries, updates and deletes to rows in the actor's scope.
// Creation only needs an actor: what may be put where is a rule of the service.
func Policy(c Columns) ent.Policy { return policy{columns: c} }

// Authenticated is the policy of unscoped entities of the business: all rows
// for any actor but members, who see none.
func Authenticated() ent.Policy { return policy{unscoped: true} }

// Everybody is the policy of entities that members may see too: what is public,
// and parts of rows that are scoped themselves.
func Everybody() ent.Policy { return policy{unscoped: true, members: true} }

type policy struct {
	columns           Columns
	unscoped, members bool
}

// whereP is implemented by every generated query and mutation.
type whereP interface {
	WhereP(...func(*sql.Selector))
}

func (p policy) EvalQuery(ctx context.Context, q ent.Query) error { return p.restrict(ctx, q) }

func (p policy) EvalMutation(ctx context.Context, m ent.Mutation) error {
	if m.Op().Is(ent.OpCreate) {
		_, err := auth.From(ctx)
		return err
	}
	return p.restrict(ctx, m)
}

func (p policy) restrict(ctx context.Context, target any) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	all := actor.Scope.All || p.unscoped && (p.members || actor.Kind != auth.KindMember)
	gone := p.columns.Gone
	if ctx.Value(goneKey{}) != nil {
		gone = ""
	}
	if all && gone == "" {
		return nil
	}
	t, ok := target.(whereP)
	if !ok {
		return fmt.Errorf("scope: %T cannot be restricted", target)
	}
	t.WhereP(func(s *sql.Selector) {
		if !all {
			s.Where(p.columns.predicate(actor.Scope, s.C))
		}
		if gone != "" {
			s.Where(sql.IsNull(s.C(gone)))
		}
	})
	return nil
}

// stores are the columns that hold one.
func (c Columns) stores() []string {
	switch {
	case c.Store == "":
		return nil
	case c.OtherStore == "":
		return []string{c.Store}
	default:
		return []string{c.Store, c.OtherStore}
	}
}

// predicate is the scope as a condition; col qualifies a column name.
func (c Columns) predicate(sc auth.Scope, col func(string) string) *sql.Predicate {
	var any []*sql.Predicate
	for _, store := range c.stores() {
		switch {
		case len(sc.StoreIDs) == 0:
		case len(sc.StoreIDs) == 1: // "= ANY" would keep PostgreSQL from walking (store, …) in order
			any = append(any, sql.EQ(col(store), sc.StoreIDs[0]))
		default:
			any = append(any, sql.P(func(b *sql.Builder) {
				b.WriteString(col(store)).WriteString(" = ANY(").Arg(pgarray.UUIDs(sc.StoreIDs)).WriteString("::uuid[])")
			}))
		}
		if c.Workplace && len(sc.OwnStaff) > 0 {
			any = append(any, sql.P(func(b *sql.Builder) {
				b.WriteString(col(store)).WriteString(" IN (SELECT store_id FROM staff WHERE id = ANY(").Arg(pgarray.UUIDs(sc.OwnStaff)).WriteString("::uuid[]))")
			}))
		}
	}
	switch {
	case c.Staff == "" || len(sc.OwnStaff) == 0:
	case len(sc.OwnStaff) == 1: // "= ANY" would keep PostgreSQL from walking (assistant, …) in order
		any = append(any, sql.EQ(col(c.Staff), sc.OwnStaff[0]))
	default:
		any = append(any, sql.P(func(b *sql.Builder) {
			b.WriteString(col(c.Staff)).WriteString(" = ANY(").Arg(pgarray.UUIDs(sc.OwnStaff)).WriteString("::uuid[])")
		}))
	}
	if c.Member != "" && sc.Member != uuid.Nil {
		any = append(any, sql.EQ(col(c.Member), sc.Member))
	}
	if len(any) == 0 {
		return sql.False()
	}
	return sql.Or(any...)
}

// Through narrows a query to rows whose column holds the id of a row of another
// table that the caller sees: for what is read with that one.
func Through(ctx context.Context, column, table string, c Columns) (func(*sql.Selector), error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	return func(q *sql.Selector) {
		if !actor.Scope.All {
			t := sql.Table(table)
			q.Where(sql.In(q.C(column), sql.Select(t.C("id")).From(t).Where(c.predicate(actor.Scope, t.C))))
		}
	}, nil
}

// SQL is the scope as a condition for hand-written SQL: a text whose
// placeholders start at $first and the arguments for them. Alias is the
// table's alias, or empty.
func SQL(ctx context.Context, c Columns, alias string, first int) (string, []any, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return "", nil, err
	}
	if actor.Scope.All {
		return "TRUE", nil, nil
	}
	if alias != "" {
		alias += "."
	}
	var parts []string
	var args []any
	for _, store := range c.stores() {
		if len(actor.Scope.StoreIDs) > 0 {
			args = append(args, pgarray.UUIDs(actor.Scope.StoreIDs))
			parts = append(parts, alias+store+" = ANY($"+strconv.Itoa(first+len(args)-1)+"::uuid[])")
		}
		if c.Workplace && len(actor.Scope.OwnStaff) > 0 {
			args = append(args, pgarray.UUIDs(actor.Scope.OwnStaff))
			parts = append(parts, alias+store+" IN (SELECT store_id FROM staff WHERE id = ANY($"+strconv.Itoa(first+len(args)-1)+"::uuid[]))")
		}
	}
	if c.Staff != "" && len(actor.Scope.OwnStaff) > 0 {
		args = append(args, pgarray.UUIDs(actor.Scope.OwnStaff))
		parts = append(parts, alias+c.Staff+" = ANY($"+strconv.Itoa(first+len(args)-1)+"::uuid[])")
	}
	if c.Member != "" && actor.Scope.Member != uuid.Nil {
		args = append(args, actor.Scope.Member)
		parts = append(parts, alias+c.Member+" = $"+strconv.Itoa(first+len(args)-1))
	}
	if len(parts) == 0 {
		return "FALSE", nil, nil
	}
	return "(" + strings.Join(parts, " OR ") + ")", args, nil
}
