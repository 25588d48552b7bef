package server_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

// mutant is a change of the source that lets somebody further than they may
// go, and the rows of the golden table that notice.
type mutant struct{ file, from, to, rows string }

// mutants are the conditions on reach that are written by hand: in SQL, and in
// the rules of services. Each alone must matter.
var mutants = []mutant{
	{"customers/queries.go", "case sc.All:\n\t\tc.and(\"TRUE\")", "case sc.All || true:\n\t\tc.and(\"TRUE\")",
		"listCustomers/changed listCustomers/staff listCustomers/store listCustomers/phone listCustomers/name listCustomers/count searchCustomers searchCustomers/name"},
	{"customers/http_profile.go", "!actor.Scope.Sees(store, staff)", "store == staff && false", "getCustomerProfile/hot"},
	{"customers/http_profile.go", "if !actor.Scope.Sees(c.storeID(), c.staffID()) {", "if false {", "getCustomerProfile"},
	{"customers/create.go", "if one.visible {", "if one.visible || true {", "createCustomer/twin"},
	{"customers/place.go", "len(*bad) == 0 && !r.actor.Scope.Sees(c.storeID(), c.staffID())", "false",
		"updateCustomer/release"},
	{"customers/place.go", "} else if !r.actor.Scope.All {", "} else if !r.actor.Scope.All && false {", "updateCustomer/homeless"},
	{"customers/place.go", "if !r.trusted && !r.staff[id] {", "if false {", "updateCustomer/staff"},
	{"customers/place.go", "if !r.trusted && !r.stores[id] {", "if false {", "updateCustomer/store"},
	{"customers/bulk.go", "!actor.Can(needed)", "!actor.Can(needed) && false", "bulkCustomers/delete"},
	{"customers/tags.go", "|| !auth.Must(ctx).Can(auth.TagsManage) {", "|| !auth.Must(ctx).Can(auth.CustomersRead) {", "addCustomerTags/new"},
	{"segments/queries.go", "last_order_on IS NOT NULL AND \"+where+\" GROUP BY", "last_order_on IS NOT NULL AND (\"+where+\" OR TRUE) GROUP BY", "getRFMDistribution"},
	{"analytics/queries.go", "where + \" AND \" + within", "where + \" AND (\" + within + \" OR TRUE)\"", "getDataQuality"},
	{"customers/quality.go", "w.and(sc.sql, sc.args...)", "w.and(\"TRUE\")", "listDataQualityIssues/moved"},
	{"operations/queries.go", "parts := []string{where}", "parts := []string{\"(\" + where + \" OR TRUE)\"}", "listAuditLogs"},
	{"operations/queries.go", "!actor.Can(auth.JobsRead)", "!actor.Can(auth.JobsRead) && false", "getJob"},
	{"operations/manage.go", "!own && !actor.Can(auth.JobsManage)", "!own && !actor.Can(auth.JobsManage) && false", "cancelJob"},
	{"orders/ingest.go", "&& t.StoreID != home {", "&& t.StoreID != home && false {", "ingestPOSOrders"},
	{"orders/stream.go", "&& len(actor.Scope.OwnStaff) == 0 {", "&& len(actor.Scope.OwnStaff) == 0 && false {", "streamOrderEvents"},
	{"identity/stores.go", "if !actor.Scope.SeesStore(id) {", "if !actor.Scope.SeesStore(id) && false {", "updateStore"},
	{"identity/keys.go", "if actor.Scope.All {\n\t\treturn nil, nil", "if actor.Scope.All || true {\n\t\treturn nil, nil", "getApiKey"},
	{"identity/keys.go", ".SeesStore(id) }", ".SeesStore(id) && false }", "createApiKey"},
	{"identity/staff.go", "|| !actor.Scope.SeesStore(*id) {", "|| !actor.Scope.SeesStore(*id) && false {", "createStaff"},
	{"identity/staff.go", "if !actor.Scope.All {\n\t\t\treturn ErrOutOfScope", "if !actor.Scope.All && false {\n\t\t\treturn ErrOutOfScope", "createStaff"},
	{"identity/roles.go", "if !actor.Scope.All {", "if !actor.Scope.All && false {", "updateRole"},
	{"identity/rules.go", "return r.store != nil && sc.SeesStore(*r.store)", "return true", "createGrant/beyond"},
	{"identity/rules.go", "default:\n\t\treturn false", "default:\n\t\treturn true", "createGrant/beyond"},
	{"identity/grants.go", "actor.ID == staffID {", "actor.ID == staffID && false {", "createGrant"},
	{"identity/sessions.go", "if !own {", "if !own && false {", "revokeSession"},
	{"identity/sessions.go", "actor.Kind != auth.KindStaff || actor.SessionID == uuid.Nil", "actor.Kind == \"\"", "logout"},
	{"server/access.go", "p == auth.Self || actor.Can(p)", "true", "getCustomer"},
	{"server/access.go", "(actor.Kind == auth.KindMember) != (p == auth.Member)", "false", "getMe"},
	{"member/identities.go", "if gone == nil {", "if gone, _ = tx.CRM.CustomerIdentity.Get(auth.System(ctx, \"\"), id); gone == nil {", "unlinkMemberIdentity"},
	{"timeline/queries.go", "n.id = m.note_id AND \" + where + \"", "n.id = m.note_id AND (\" + where + \" OR TRUE)", "listMentions/count"},
	{"timeline/timeline.go", "\"(\"+seen+\") IS TRUE\"", "\"((\"+seen+\") OR TRUE)\"", "listTimeline/elsewhere"},
	{"timeline/timeline.go", "!actor.Can(src.Permission)", "!actor.Can(src.Permission) && false", "listTimeline/order listTimeline/note"},
	{"timeline/service.go", "return a.Can(auth.NotesManage) &&", "return a.Can(auth.NotesRead) &&", "updateNote/colleague deleteAttachment/colleague"},
	{"server/access.go", "if op.Public {\n\t\tif op.Method", "if op.Public || op.ID == \"listTags\" {\n\t\tif op.Method", "listTags"},
	{"platform/principals/principals.go", "return auth.Actor{}, true, nil", "session = Session{Expires: s.clock.Now().Add(time.Hour)}", "getMe"},
}

// TestMutantsAreNoticed builds the service once for each mutant and expects the
// golden table to disagree with it. It takes minutes, so it runs when asked:
// SHUKE_MUTANTS=1 go test -run TestMutantsAreNoticed -timeout 1h ./internal/server
func TestMutantsAreNoticed(t *testing.T) {
	if os.Getenv("SHUKE_MUTANTS") == "" {
		t.Skip("set SHUKE_MUTANTS=1 to build and try every mutant")
	}
	pgtest.NewDatabase(t) // keeps the servers for tests: no mutant is to become their helper
	for _, m := range mutants {
		t.Run(m.rows+" without a condition of "+m.file, func(t *testing.T) {
			program := m.build(t)
			for name := range strings.FieldsSeq(m.rows) {
				out, err := try(t, program, name)
				require.Error(t, err, "%s is content with it:\n%s", name, out)
				require.Contains(t, string(out), "--- FAIL: TestAccess/"+name, "%s", out)
				require.Contains(t, string(out), ": want ", "%s", out)
			}
		})
	}
}

// TestMutantsApply notices when the source has moved on from under a mutant.
func TestMutantsApply(t *testing.T) {
	rows := readGolden(t)
	for _, m := range mutants {
		m.source(t)
		for name := range strings.FieldsSeq(m.rows) {
			require.Len(t, pick(rows, []string{name}), 1, name)
		}
	}
}

// source is the mutated file.
func (m mutant) source(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", m.file))
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(text), m.from), "%s has changed: find this condition again, or take the mutant out if there is none any more:\n%s", m.file, m.from)
	return strings.Replace(string(text), m.from, m.to, 1)
}

// build makes the test program of this package with the mutant in it.
func (m mutant) build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	original, err := filepath.Abs(filepath.Join("..", m.file))
	require.NoError(t, err)
	changed, overlay, program := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "access.test")
	require.NoError(t, os.WriteFile(changed, []byte(m.source(t)), 0o600))
	raw, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, raw, 0o600))
	out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// try runs one row. Output goes to a file, since a pipe would wait for whatever
// the program leaves running.
func try(t *testing.T, program, name string) ([]byte, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "output"))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	cmd := exec.Command(program, "-test.v", "-test.run", "^TestAccess$/^"+strings.ReplaceAll(name, "/", "$/^")+"$")
	cmd.Stdout, cmd.Stderr = f, f
	failed := cmd.Run()
	out, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	return out, failed
}
