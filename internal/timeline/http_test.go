package timeline_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

type body = map[string]any

// shop is a store with an assistant, their customer and a manager.
type shop struct {
	*testkit.App
	t                          *testing.T
	store                      client.Store
	admin, assistant, manager  *testkit.Client
	customer                   client.Customer
	notes                      string // path
	assistantName, managerName string
}

func newShop(t *testing.T, opts ...testkit.Option) *shop {
	w := &shop{App: testkit.New(t, append([]testkit.Option{testkit.At(time.Date(2026, 7, 1, 2, 0, 0, 0, time.UTC))}, opts...)...), t: t}
	w.admin, w.store = w.Admin(), w.Store()
	person := func(role string, scope testkit.Scope) (*testkit.Client, string) {
		s := w.Staff(role, scope, body{"store_id": w.store.Id})
		c := w.SignIn(s.Username, testkit.StaffPassword)
		c.StaffID = s.Id
		return c, s.Name
	}
	w.assistant, w.assistantName = person("assistant", testkit.Own())
	w.manager, w.managerName = person("store_manager", testkit.InStore(w.store.Id))
	w.customer = w.Customer(body{"home_store_id": w.store.Id, "assigned_staff_id": w.assistant.StaffID})
	w.notes = "/v1/customers/" + w.customer.Id.String() + "/notes"
	return w
}

func (w *shop) write(c *testkit.Client, b body) (n client.Note) {
	w.t.Helper()
	w.Advance(time.Second)
	c.Do(http.MethodPost, w.notes, b).Want(http.StatusCreated).JSON(&n)
	return n
}

func (w *shop) count(query string, args ...any) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.DB.QueryRow(w.t.Context(), query, args...).Scan(&n))
	return n
}

func TestNotes(t *testing.T) {
	w := newShop(t)
	r := w.assistant.Do(http.MethodPost, w.notes, body{"text": "  皮肤敏感，推荐纯棉  ", "kind": "taste", "mentions": []any{w.manager.StaffID, w.manager.StaffID}}, "Idempotency-Key", "n1").Want(http.StatusCreated)
	var n client.Note
	r.JSON(&n)
	assert.Equal(t, w.notes+"/"+n.Id.String(), r.Header.Get("Location"))
	assert.Equal(t, "皮肤敏感，推荐纯棉", n.Text)
	assert.Equal(t, client.TimelineActorKind("staff"), n.Author.Kind)
	assert.Equal(t, w.assistantName, n.Author.Name)
	require.Len(t, n.Mentions, 1)
	assert.Equal(t, w.managerName, n.Mentions[0].Name)
	assert.Equal(t, string(r.Body), string(w.assistant.Do(http.MethodPost, w.notes, body{"text": "  皮肤敏感，推荐纯棉  ", "kind": "taste", "mentions": []any{w.manager.StaffID, w.manager.StaffID}}, "Idempotency-Key", "n1").
		Want(http.StatusCreated).Body))
	require.Equal(t, 1, w.count("SELECT count(*) FROM notes"))
	require.Zero(t, w.count("SELECT count(*) FROM notes WHERE position('纯棉'::bytea in text_sealed) > 0"))

	// The manager reads and does not write; the note is among those that mention them.
	got := w.manager.Do(http.MethodGet, w.notes+"/"+n.Id.String(), nil).Want(http.StatusOK)
	w.manager.Do(http.MethodGet, w.notes+"/"+n.Id.String(), nil, "If-None-Match", got.Header.Get("ETag")).Want(http.StatusNotModified)
	w.manager.Do(http.MethodPost, w.notes, body{"text": "不行"}).WantProblem(http.StatusForbidden, "auth.forbidden")
	var mine client.MentionList
	w.manager.Do(http.MethodGet, "/v1/me/mentions?seen=false&include=total_count", nil).Want(http.StatusOK).JSON(&mine)
	require.Len(t, mine.Items, 1)
	assert.EqualValues(t, 1, *mine.TotalCount)
	assert.Equal(t, n.Text, mine.Items[0].Note.Text)

	// Changes by the author, with what others see of it.
	w.assistant.Do(http.MethodPatch, w.notes+"/"+n.Id.String(), body{"pinned": true}, "If-Match", `"9"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	edited := w.assistant.Do(http.MethodPatch, w.notes+"/"+n.Id.String(), body{"pinned": true, "text": "皮肤敏感"}, "If-Match", got.Header.Get("ETag")).Want(http.StatusOK)
	assert.EqualValues(t, 2, edited.Map()["version"])
	assert.Len(t, edited.Map()["mentions"], 1)
	same := w.assistant.Do(http.MethodPatch, w.notes+"/"+n.Id.String(), body{"pinned": true, "text": "皮肤敏感", "mentions": []any{w.manager.StaffID}}).Want(http.StatusOK)
	assert.EqualValues(t, 2, same.Map()["version"], "nothing changed")
	byAdmin := w.write(w.admin, body{"text": "管理员备注"})
	w.assistant.Do(http.MethodPatch, w.notes+"/"+byAdmin.Id.String(), body{"text": "x"}).WantProblem(http.StatusForbidden, "notes.not_yours")
	w.assistant.Do(http.MethodDelete, w.notes+"/"+byAdmin.Id.String(), nil).WantProblem(http.StatusForbidden, "notes.not_yours")
	w.admin.Do(http.MethodPatch, w.notes+"/"+n.Id.String(), body{"kind": "general"}).Want(http.StatusOK)

	// Lists.
	for i := range 5 {
		w.write(w.assistant, body{"text": strings.Repeat("好", i+1), "kind": "call"})
	}
	list := func(query string) (l client.NoteList) {
		t.Helper()
		w.manager.Do(http.MethodGet, w.notes+query, nil).Want(http.StatusOK).JSON(&l)
		return l
	}
	all := list("?include=total_count")
	require.Len(t, all.Items, 7)
	assert.EqualValues(t, 7, *all.TotalCount)
	assert.Equal(t, "好好好好好", all.Items[0].Text)
	assert.Len(t, list("?pinned=true").Items, 1)
	assert.Len(t, list("?kind=call").Items, 5)
	assert.Len(t, list("?author_id="+w.assistant.StaffID.String()).Items, 6)
	assert.Len(t, list("?created_after="+all.Items[2].CreatedAt.Format(time.RFC3339Nano)).Items, 3)
	assert.Len(t, list("?created_before="+all.Items[2].CreatedAt.Format(time.RFC3339Nano)).Items, 4)
	var walked []uuid.UUID
	for path := w.notes + "?limit=3"; path != ""; {
		r := w.manager.Do(http.MethodGet, path, nil).Want(http.StatusOK)
		var l client.NoteList
		r.JSON(&l)
		for _, n := range l.Items {
			walked = append(walked, n.Id)
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("Link"), "<"), ">")
	}
	var ids []uuid.UUID
	for _, n := range all.Items {
		ids = append(ids, n.Id)
	}
	assert.Equal(t, ids, walked)

	// Deleted for good.
	w.assistant.Do(http.MethodDelete, w.notes+"/"+n.Id.String(), nil).Want(http.StatusNoContent)
	w.assistant.Do(http.MethodGet, w.notes+"/"+n.Id.String(), nil).WantProblem(http.StatusNotFound, "notes.not_found")
	w.manager.Do(http.MethodGet, "/v1/me/mentions", nil).Want(http.StatusOK).JSON(&mine)
	assert.Empty(t, mine.Items)
	assert.Equal(t, 1, w.count("SELECT count(*) FROM audit_logs WHERE action = 'notes.delete' AND object_id = $1", n.Id.String()))
	assert.Equal(t, 1, w.count("SELECT count(*) FROM outbox_events WHERE type = 'note.deleted'"))

	// What is refused.
	for text, code := range map[string]string{"  \n ": "notes.blank", "\u200b": "notes.blank"} {
		w.assistant.Do(http.MethodPost, w.notes, body{"text": text}).WantProblem(http.StatusUnprocessableEntity, code, "/text")
	}
	w.assistant.Do(http.MethodPost, w.notes, body{"text": strings.Repeat("长", 4001)}).WantProblem(http.StatusUnprocessableEntity, "request.invalid", "/text")
	w.admin.Do(http.MethodDelete, "/v1/customers/"+w.customer.Id.String(), nil).Want(http.StatusNoContent)
	w.assistant.Do(http.MethodPost, w.notes, body{"text": "归档后"}).WantProblem(http.StatusConflict, "customers.archived")
	assert.NotEmpty(t, list("").Items, "notes of an archived customer can be read")
}

func TestMentions(t *testing.T) {
	w := newShop(t)
	elsewhere := w.Store()
	other := w.Staff("store_manager", testkit.InStore(elsewhere.Id))
	marketer := w.Staff("marketer", testkit.All())
	colleague := w.Staff("assistant", testkit.Own(), body{"store_id": w.store.Id})
	gone := w.Staff("store_manager", testkit.InStore(w.store.Id))
	w.admin.Do(http.MethodPatch, "/v1/staff/"+gone.Id.String(), body{"status": "disabled"}).Want(http.StatusOK)
	for name, id := range map[string]uuid.UUID{"another store": other.Id, "no permission": marketer.Id, "not their customer": colleague.Id, "not active": gone.Id, "nobody": uuid.New()} {
		w.assistant.Do(http.MethodPost, w.notes, body{"text": "请看", "mentions": []any{w.manager.StaffID, id}}).
			WantProblem(http.StatusUnprocessableEntity, "notes.mention_invalid", "/mentions/1")
		require.Zero(t, w.count("SELECT count(*) FROM notes"), name)
	}

	var notes []client.Note
	for range 3 {
		notes = append(notes, w.write(w.assistant, body{"text": "请店长回访", "mentions": []any{w.manager.StaffID}}))
	}
	mentions := func(query string) (l client.MentionList) {
		t.Helper()
		w.manager.Do(http.MethodGet, "/v1/me/mentions?include=total_count"+query, nil).Want(http.StatusOK).JSON(&l)
		return l
	}
	first := mentions("&limit=2")
	require.Len(t, first.Items, 2)
	assert.EqualValues(t, 3, *first.TotalCount)
	assert.Equal(t, notes[2].Id, first.Items[0].Note.Id)
	second := mentions("&limit=2&cursor=" + first.NextCursor.MustGet())
	require.Len(t, second.Items, 1)
	assert.Equal(t, notes[0].Id, second.Items[0].Note.Id)

	// Seen, once; not by somebody else.
	mark := func(c *testkit.Client, b body) float64 {
		return c.Do(http.MethodPost, "/v1/me/mentions/seen", b).Want(http.StatusOK).Map()["marked"].(float64)
	}
	assert.EqualValues(t, 0, mark(w.assistant, body{"ids": []any{first.Items[0].Id}}))
	assert.EqualValues(t, 1, mark(w.manager, body{"ids": []any{first.Items[0].Id}}))
	assert.EqualValues(t, 0, mark(w.manager, body{"ids": []any{first.Items[0].Id}}))
	assert.Len(t, mentions("&seen=true").Items, 1)
	assert.Len(t, mentions("&seen=false").Items, 2)
	// Who stays mentioned has still seen it; who is taken off does not find it.
	w.assistant.Do(http.MethodPatch, w.notes+"/"+notes[2].Id.String(), body{"mentions": []any{w.assistant.StaffID, w.manager.StaffID}}).Want(http.StatusOK)
	assert.Len(t, mentions("&seen=true").Items, 1)
	w.assistant.Do(http.MethodPatch, w.notes+"/"+notes[2].Id.String(), body{"mentions": []any{}}).Want(http.StatusOK)
	assert.Len(t, mentions("").Items, 2)
	assert.EqualValues(t, 2, mark(w.manager, body{}))
	assert.Empty(t, mentions("&seen=false").Items)

	// A customer who moves takes the notes along: out of sight, and into that of others.
	w.admin.Do(http.MethodPatch, "/v1/customers/"+w.customer.Id.String(), body{"home_store_id": elsewhere.Id}).Want(http.StatusOK)
	moved := mentions("")
	assert.Empty(t, moved.Items)
	assert.EqualValues(t, 0, *moved.TotalCount)
	w.manager.Do(http.MethodGet, w.notes, nil).WantProblem(http.StatusNotFound, "customers.not_found")
	assert.Len(t, w.SignIn(other.Username, testkit.StaffPassword).Do(http.MethodGet, w.notes, nil).Want(http.StatusOK).Map()["items"], 3)

	key := w.admin.Do(http.MethodPost, "/v1/api-keys", body{"name": "robot", "permissions": []string{"notes.read", "notes.write"}, "all_stores": true}).Want(http.StatusCreated).Map()
	robot := w.Bearer(key["key"].(string))
	n := w.write(robot, body{"text": "来自门店平板"})
	assert.Equal(t, client.TimelineActorKind("api_key"), n.Author.Kind)
	assert.Equal(t, "robot", n.Author.Name)
	robot.Do(http.MethodPatch, w.notes+"/"+n.Id.String(), body{"pinned": true}).Want(http.StatusOK)
	assert.Empty(t, robot.Do(http.MethodGet, "/v1/me/mentions", nil).Want(http.StatusOK).Map()["items"])
	assert.EqualValues(t, 0, mark(robot, body{}))
}

func TestNotesFollowMergesAndUndo(t *testing.T) {
	w := newShop(t)
	old := w.Customer(body{"home_store_id": w.store.Id, "assigned_staff_id": w.assistant.StaffID})
	path := "/v1/customers/" + old.Id.String() + "/notes"
	kept := w.write(w.assistant, body{"text": "原有备注"})
	var moved client.Note
	w.assistant.Do(http.MethodPost, path, body{"text": "旧档案备注", "mentions": []any{w.manager.StaffID}}).Want(http.StatusCreated).JSON(&moved)

	var p client.MergePreview
	w.admin.Do(http.MethodPost, "/v1/customer-merges/preview", body{"survivor_id": w.customer.Id, "merged_id": old.Id}).Want(http.StatusOK).JSON(&p)
	assert.Contains(t, p.Moves, client.MergeCount{Kind: "notes", Count: 1})
	var m client.CustomerMerge
	w.admin.Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": w.customer.Id, "merged_id": old.Id}).Want(http.StatusCreated).JSON(&m)
	list := func(path string) (l client.NoteList, r *testkit.Response) {
		t.Helper()
		r = w.manager.Do(http.MethodGet, path, nil).Want(http.StatusOK)
		r.JSON(&l)
		return l, r
	}
	all, _ := list(w.notes)
	require.Len(t, all.Items, 2)
	by, r := list(path)
	assert.Equal(t, all, by)
	assert.Equal(t, w.notes, r.Header.Get("Content-Location"))
	one := w.manager.Do(http.MethodGet, path+"/"+moved.Id.String(), nil).Want(http.StatusOK)
	assert.Equal(t, w.notes+"/"+moved.Id.String(), one.Header.Get("Content-Location"))
	assert.Equal(t, "旧档案备注", one.Map()["text"])
	w.assistant.Do(http.MethodPost, path, body{"text": "x"}).WantProblem(http.StatusConflict, "customers.merged")
	w.assistant.Do(http.MethodPatch, path+"/"+moved.Id.String(), body{"text": "x"}).WantProblem(http.StatusConflict, "customers.merged")
	w.assistant.Do(http.MethodPatch, w.notes+"/"+moved.Id.String(), body{"text": "改过的备注"}).Want(http.StatusOK)

	w.Admin().Do(http.MethodPost, "/v1/customer-merges/"+m.Id.String()+"/undo", nil).Want(http.StatusOK)
	back, _ := list(path)
	require.Len(t, back.Items, 1)
	assert.Equal(t, "改过的备注", back.Items[0].Text)
	require.Len(t, back.Items[0].Mentions, 1)
	all, _ = list(w.notes)
	require.Len(t, all.Items, 1)
	assert.Equal(t, kept.Id, all.Items[0].Id)
}
