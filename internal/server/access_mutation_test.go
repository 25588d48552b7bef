package server_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"entgo.io/ent"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/orderreturn"
	"github.com/shuke-crm/shuke/ent/commerce/stockcount"
	"github.com/shuke-crm/shuke/ent/commerce/stocklevel"
	"github.com/shuke-crm/shuke/ent/commerce/stockmovement"
	"github.com/shuke-crm/shuke/ent/commerce/stockreservation"
	"github.com/shuke-crm/shuke/ent/commerce/stocktransfer"
	"github.com/shuke-crm/shuke/ent/crm/attachment"
	"github.com/shuke-crm/shuke/ent/crm/consent"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/customeraddress"
	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/ent/crm/customermetrics"
	"github.com/shuke-crm/shuke/ent/crm/familymember"
	"github.com/shuke-crm/shuke/ent/crm/formsubmission"
	"github.com/shuke-crm/shuke/ent/crm/note"
	"github.com/shuke-crm/shuke/ent/platform/session"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/ent/platform/stafffactor"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/scope"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// scoped is one scope policy: the variable that ent keeps it in, the rows of
// the golden table that depend on it, and a query that it narrows.
type scoped struct {
	policy *ent.Policy
	rows   []string
	count  func(context.Context, *world) (int, error)
}

var scopedEntities = map[string]scoped{
	"Customer": {&customer.Policy,
		[]string{"getCustomer", "updateCustomer", "archiveCustomer", "bulkCustomers/delete", "bulkCustomers/upsert", "revealCustomer", "getCustomerMetrics/never"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.Customer.Query().Count(ctx) }},
	// A customer who is out of sight hides their metrics too, so no request tells.
	"CustomerMetrics": {&customermetrics.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.CustomerMetrics.Query().Count(ctx) }},
	// Who does not see the customer does not get so far.
	"CustomerIdentity": {&customeridentity.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.CustomerIdentity.Query().Count(ctx) }},
	"CustomerAddress": {&customeraddress.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.CustomerAddress.Query().Count(ctx) }},
	"FamilyMember": {&familymember.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.FamilyMember.Query().Count(ctx) }},
	"Note": {&note.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.Note.Query().Count(ctx) }},
	"Attachment": {&attachment.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.Attachment.Query().Count(ctx) }},
	"FormSubmission": {&formsubmission.Policy, []string{"listFormSubmissions", "getFormSubmission"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.FormSubmission.Query().Count(ctx) }},
	"Consent": {&consent.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.Consent.Query().Count(ctx) }},
	"Order": {&order.Policy, []string{"getOrder", "listOrders", "listOrders/count"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.Commerce.Order.Query().Count(ctx) }},
	"OrderReturn": {&orderreturn.Policy, []string{"getReturn", "listReturns", "listReturns/count"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.Commerce.OrderReturn.Query().Count(ctx) }},
	"StockLevel": {&stocklevel.Policy, []string{"listStockLevels", "getStockLevel", "updateStockLevel"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.Commerce.StockLevel.Query().Count(ctx) }},
	"StockMovement": {&stockmovement.Policy, []string{"listStockMovements"},
		func(ctx context.Context, w *world) (int, error) {
			return w.DB.Commerce.StockMovement.Query().Count(ctx)
		}},
	"StockReservation": {&stockreservation.Policy, []string{"listStockReservations", "getStockReservation", "releaseStockReservation", "commitStockReservation"},
		func(ctx context.Context, w *world) (int, error) {
			return w.DB.Commerce.StockReservation.Query().Count(ctx)
		}},
	"StockTransfer": {&stocktransfer.Policy, []string{"listStockTransfers", "getStockTransfer"},
		func(ctx context.Context, w *world) (int, error) {
			return w.DB.Commerce.StockTransfer.Query().Count(ctx)
		}},
	"StockCount": {&stockcount.Policy, []string{"listStockCounts", "getStockCount", "listStockCountLines"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.Commerce.StockCount.Query().Count(ctx) }},
	"Staff": {&staff.Policy, []string{"getStaff", "listStaff", "listStaff/count", "updateStaff", "updateCustomer/staff"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.Platform.Staff.Query().Count(ctx) }},
	// People ask for their own sessions only, by their own id, so no request tells.
	"Session": {&session.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.Platform.Session.Query().Count(ctx) }},
	"StaffFactor": {&stafffactor.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.Platform.StaffFactor.Query().Count(ctx) }},
}

// TestAccessWithoutAPolicy takes each scope policy away and expects the table
// to notice. A policy whose absence nobody notices protects nothing.
func TestAccessWithoutAPolicy(t *testing.T) {
	rows := readGolden(t)
	w := newWorld(t)
	limited := []string{"store_manager", "assistant", "service_agent", "local"}
	for name, e := range scopedEntities {
		t.Run(name, func(t *testing.T) {
			chosen := pick(rows, e.rows)
			require.Len(t, chosen, len(e.rows))
			require.Empty(t, w.walk(chosen, limited), "before")
			requireNarrow(t, w, e)

			whole := *e.policy
			*e.policy = scope.Authenticated()
			t.Cleanup(func() { *e.policy = whole })
			for _, r := range chosen {
				require.NotEmpty(t, w.walk([]row{r}, limited), "%s is the same without the policy", r.name)
			}
			own, all := w.counts(t, e)
			require.Equal(t, all, own, "something else narrows the query")
			*e.policy = whole
			requireNarrow(t, w, e)
		})
	}
}

func requireNarrow(t *testing.T, w *world, e scoped) {
	t.Helper()
	own, all := w.counts(t, e)
	require.Less(t, own, all)
	_, err := e.count(context.Background(), w)
	require.ErrorIs(t, err, auth.ErrNoActor, "a query by nobody")
	none, err := e.count(auth.With(context.Background(), auth.Actor{Kind: auth.KindStaff, ID: uuid.New()}), w)
	require.NoError(t, err)
	require.Zero(t, none, "an empty scope sees nothing")
}

// counts are how many rows the assistant sees and how many there are.
func (w *world) counts(t *testing.T, e scoped) (own, all int) {
	t.Helper()
	c := &cell{world: w, actor: w.actors["assistant"]}
	for _, c.object = range []string{"own", "other"} {
		c.buyer()
	}
	for _, c.object = range []string{"own", "other"} {
		c.handed(c.newBuyer()) // the form is made once itself, so not below
	}
	once(w, "ways to sign in", func() bool {
		for _, c.object = range []string{"own", "other"} {
			b := c.newBuyer()
			c.linked(b)
			c.addressed(b)
			c.related(b)
			c.note(false)
			c.picture(false)
		}
		return true
	})
	c.sessionOf(w.stranger)
	once(w, "second factors", func() bool {
		w.factor(w.stranger.staff, "totp", true)
		w.factor(c.actor.staff, "totp", true)
		return true
	})
	me := auth.Actor{Kind: auth.KindStaff, ID: c.actor.staff, Scope: auth.Scope{OwnStaff: []uuid.UUID{c.actor.staff}}}
	own, err := e.count(auth.With(context.Background(), me), w)
	require.NoError(t, err)
	all, err = e.count(w.ctx, w)
	require.NoError(t, err)
	require.Positive(t, own)
	return own, all
}

func pick(rows []row, names []string) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !slices.Contains(names, r.name) })
}

// Whoever adds a scoped entity adds it to the test above.
func TestEveryScopedEntityIsTested(t *testing.T) {
	declared := regexp.MustCompile(`func \((\w+)\) Policy\(\) ent\.Policy \{\s+return scope\.Policy\(`)
	files, err := filepath.Glob("../../ent/*/schema/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			if _, ok := memberEntities[string(m[1])]; !ok {
				require.Contains(t, scopedEntities, string(m[1]), f)
			}
		}
	}
}

// TestAccessWithoutAPermission lets everybody signed in do each operation in
// turn, and everybody at all what only needs a sign-in, and expects the table
// to notice.
func TestAccessWithoutAPermission(t *testing.T) {
	rows := readGolden(t)
	w := newWorld(t, testkit.WithLog(io.Discard)) // full of what the layers behind have to say
	for _, op := range w.Server.Contract.Operations() {
		if op.Public {
			continue
		}
		at := slices.IndexFunc(rows, func(r row) bool { return r.name == op.ID })
		require.GreaterOrEqual(t, at, 0, op.ID)
		before := *op
		if op.Permission == string(auth.Self) {
			op.Public = true
			require.NotEmpty(t, w.walk(rows[at:at+1], []string{"none"}), "%s is the same without a sign-in", op.ID)
			op.Public = before.Public
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(columns), func(column string) bool { return !strings.Contains(rows[at].want[column], string(denied)) })
		require.NotEmpty(t, kept, "%s is open to everybody", op.ID)
		op.Permission = string(auth.Self)
		var found []mismatch
		for i := 0; i < len(kept) && len(found) == 0; i++ { // some lack a second permission that the domain asks for
			found = w.walk(rows[at:at+1], kept[i:i+1])
		}
		op.Permission = before.Permission
		require.NotEmpty(t, found, "%s is the same without its permission", op.ID)
	}
}
