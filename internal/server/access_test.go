package server_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// columns of testdata/access.golden: who asks. The last five hold no role.
var columns = []string{
	"administrator", "store_manager", "assistant", "service_agent", "marketer", "analyst", "inventory_clerk", "auditor", "local",
	"api_key", "member", "none", "revoked", "garbage",
}

// Outcomes, as the golden table writes them.
const (
	allowed = '+' // the operation took effect, or the object is in the answer
	hidden  = '.' // 404, or the object is not in the answer: as if there were none
	denied  = 'x' // 403 auth.forbidden: the permission is missing
	refused = 'r' // a rule about reach or one's own account says no
	unknown = '?' // 401
	strange = '!' // anything else; never in the table
)

// row is one line of the table: what each column may expect for each object.
type row struct {
	name    string // operation, or operation/variant
	objects []string
	want    map[string]string // by column, one letter an object
}

func (r row) operation() string { name, _, _ := strings.Cut(r.name, "/"); return name }

// readGolden reads the table. A single letter stands for all objects.
func readGolden(t testing.TB) []row {
	t.Helper()
	f, err := os.Open("testdata/access.golden")
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	var rows []row
	var header []string
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if header == nil {
			header = fields
			require.Equal(t, append([]string{"operation", "objects"}, columns...), header)
			continue
		}
		require.Len(t, fields, len(header), "line %d", n)
		r := row{name: fields[0], objects: strings.Split(fields[1], ","), want: map[string]string{}}
		for i, column := range columns {
			cell := fields[i+2]
			if len(cell) == 1 {
				cell = strings.Repeat(cell, len(r.objects))
			}
			require.Len(t, cell, len(r.objects), "line %d, %s", n, column)
			require.Empty(t, strings.Trim(cell, "+.xr?"), "line %d, %s", n, column)
			r.want[column] = cell
		}
		require.False(t, slices.ContainsFunc(rows, func(o row) bool { return o.name == r.name }), "line %d: %s twice", n, r.name)
		rows = append(rows, r)
	}
	require.NoError(t, lines.Err())
	return rows
}

// cell is one request of the matrix.
type cell struct {
	*world
	row    row
	actor  *actor
	object string
}

// probe makes the request of a row for a cell and says what became of it.
type probe func(c *cell) byte

func (c *cell) String() string {
	return fmt.Sprintf("%s of %s as %s", c.row.name, c.object, c.actor.column)
}

// do sends a request as the cell's actor.
func (c *cell) do(method, path string, body any, headers ...string) *testkit.Response {
	if c.actor.token != "" {
		headers = append(headers, "Authorization", "Bearer "+c.actor.token)
	}
	return c.Do(method, path, body, headers...)
}

// judge reads the outcome off an answer.
func judge(r *testkit.Response) byte {
	code, _ := object(r.Body)["code"].(string)
	switch {
	case r.Status >= 200 && r.Status < 300:
		return allowed
	case r.Status == http.StatusUnauthorized:
		return unknown
	case r.Status == http.StatusNotFound:
		return hidden
	case r.Status == http.StatusForbidden && code == "auth.forbidden":
		return denied
	case reach[code] || code == "request.invalid" && beyondReach(r):
		return refused
	default:
		return strange
	}
}

// beyondReach reports whether all that is wrong with a request is its reach.
func beyondReach(r *testkit.Response) bool {
	var p testkit.Problem
	r.JSON(&p)
	for _, e := range p.Errors {
		if !reach[e.Code] {
			return false
		}
	}
	return len(p.Errors) > 0
}

// reach are the codes by which a rule about one's own rights, place or account
// refuses what the permission alone would allow.
var reach = map[string]bool{
	"auth.session_needed": true, "auth.out_of_scope": true,
	"staff.own_account": true, "staff.beyond_own_rights": true, "staff.deputy_unknown": true, "stores.unknown": true,
	"customers.store_invalid": true, "customers.staff_invalid": true, "customers.leaves_reach": true, "customers.unknown_tag": true,
	"orders.store_unknown": true, "orders.refund_not_yours": true, "orders.price_not_yours": true, "inventory.store_unknown": true, "points.whole_business": true, "wallets.whole_business": true, "rewards.customer_unknown": true, "wallets.bonus_not_yours": true, "orders.stored_value_not_yours": true, "catalog.price_list_store": true, "notes.not_yours": true,
}

// among tells whether an object is in the answer to a list.
func among(r *testkit.Response, id fmt.Stringer) byte {
	if letter := judge(r); letter != allowed {
		return letter
	}
	if strings.Contains(string(r.Body), id.String()) {
		return allowed
	}
	return hidden
}

// mismatch is a cell that came out differently.
type mismatch struct {
	row, column, object string
	want, got           byte
}

func (m mismatch) String() string {
	return fmt.Sprintf("%s of %s as %s: want %c, got %c", m.row, m.object, m.column, m.want, m.got)
}

// walk makes every request of some rows and columns and returns what differs
// from the table. Probes run four at a time.
func (w *world) walk(rows []row, cols []string) []mismatch {
	var mu sync.Mutex
	var found []mismatch
	var wg sync.WaitGroup
	var all []*cell
	for _, r := range rows {
		for _, column := range cols {
			for _, o := range r.objects {
				all = append(all, &cell{world: w, row: r, actor: w.actors[column], object: o})
			}
		}
	}
	// A probe that fails the test ends its goroutine, so none may wait for another.
	work := make(chan *cell, len(all))
	for _, c := range all {
		work <- c
	}
	close(work)
	for range 4 {
		wg.Go(func() {
			for c := range work {
				got := probes[c.row.name](c)
				want := c.row.want[c.actor.column][slices.Index(c.row.objects, c.object)]
				if got != want {
					mu.Lock()
					found = append(found, mismatch{c.row.name, c.actor.column, c.object, want, got})
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	slices.SortFunc(found, func(a, b mismatch) int { return strings.Compare(a.String(), b.String()) })
	return found
}

// TestAccess walks every operation as everybody over objects of every owner.
// The table was written by hand from what each role is for; it must be changed
// by hand, with a reason, and never be made from the contract it judges.
func TestAccess(t *testing.T) {
	rows := readGolden(t)
	spec, err := contract.Load()
	require.NoError(t, err)
	t.Run("covers every operation", func(t *testing.T) {
		requireCovered(t, rows, spec.Operations())
	})
	w := newWorld(t)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			for _, m := range w.walk([]row{r}, columns) {
				t.Error(m)
			}
		})
	}
}

// requireCovered fails for an operation without a row and for a row without an
// operation or a probe.
func requireCovered(t *testing.T, rows []row, operations []*contract.Operation) {
	t.Helper()
	known, covered := map[string]bool{}, map[string]bool{}
	for _, op := range operations {
		known[op.ID] = true
	}
	for _, r := range rows {
		covered[r.operation()] = true
		require.True(t, known[r.operation()], "%s is in the table and not in the contract", r.name)
		require.NotNil(t, probes[r.name], "%s has no probe", r.name)
	}
	for name := range probes {
		require.True(t, slices.ContainsFunc(rows, func(r row) bool { return r.name == name }), "probe %s has no row in the table", name)
	}
	for id := range known {
		require.True(t, covered[id], "%s is in the contract and has no row in the table", id)
	}
}
