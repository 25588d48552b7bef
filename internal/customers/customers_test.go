package customers

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

func everything() Input {
	return Input{
		ExternalID: some("C-1"), Name: some("欧阳小明"), Phone: some("138 0013 8000"), Email: some("Li.Ming@Example.com"), CardNumber: some("6688-001234"),
		Gender: ptr("male"), BirthDate: some(time.Date(1990, 5, 1, 0, 0, 0, 0, time.UTC)), Source: ptr("web"),
		Address:  some(Address{Country: "CN", Region: "上海市", City: "上海市", Line1: "南京东路123号", Line2: "5栋"}),
		Language: ptr("en"), Preferences: &map[string]any{"genres": []any{"文学"}}, MarketingPreferences: &map[string]bool{"sms": true},
		CustomFields: &map[string]any{"a": "b\"\\ü", "p": "秘密尺码"}, Tags: ptr([]string{"VIP", "新客"}), LifecycleStage: ptr("new"),
	}
}

func TestWhatIsStoredIsRead(t *testing.T) {
	w := newWorld(t)
	made := w.add(everything())
	got, err := w.Get(w.admin(), made.ID)
	require.NoError(t, err)
	assert.Equal(t, made.Person, got.Person)
	assert.Equal(t, "+8613800138000", got.Phone)
	assert.Equal(t, "mobile", got.PhoneKind)
	assert.Equal(t, "Li.Ming@example.com", got.Email)
	assert.Equal(t, "6688001234", got.Card)
	assert.Equal(t, []string{"VIP", "新客"}, got.Tags)
	assert.Empty(t, got.differences(made))
	assert.Equal(t, made.CreatedAt, got.CreatedAt)

	m := got.Masked()
	assert.Equal(t, "欧阳**", m.Name)
	assert.Equal(t, "138****8000", m.Phone)
	assert.Equal(t, "L***@example.com", m.Email)
	assert.Equal(t, "南京东路***", m.Address.Line1)
	assert.Equal(t, "***", m.Address.Line2)
	assert.Equal(t, "6688001234", m.Card)
	assert.Equal(t, map[string]any{"a": "b\"\\ü", "p": "***"}, m.CustomFields)
	assert.Equal(t, "欧阳小明", got.Name, "masking changes a copy")
	assert.Equal(t, map[string]any{"p": "秘密尺码"}, got.Custom)
}

// The three ways into a row, and the ways out of it, agree.
func TestAllPathsSealAlike(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	in := everything()
	byCreate := w.add(in)
	row := w.pg.CRM.Customer.GetX(ctx, byCreate.ID)

	other := everything()
	other.ExternalID, other.Name, other.Phone, other.Email, other.CardNumber = some("C-2"), some("王芳"), some("13800138001"), some("b@example.com"), some("AAAA")
	byBulk, err := w.Bulk(ctx, BulkCreate, []BulkItem{{Input: other}})
	require.NoError(t, err)
	require.Equal(t, "created", byBulk[0].Status)

	// The first gives its values up and the second takes them, by patch and by upsert.
	free := Input{ExternalID: null[string](), Name: some("空"), Phone: null[string](), Email: null[string](), CardNumber: null[string](), Address: null[Address]()}
	_, err = w.Update(ctx, byCreate.ID, free, nil)
	require.NoError(t, err)
	in.ExternalID = some("C-2")
	out, err := w.Bulk(ctx, BulkUpsert, []BulkItem{{Input: in}})
	require.NoError(t, err)
	require.Equal(t, "updated", out[0].Status, out[0].Err)
	upserted := w.pg.CRM.Customer.GetX(ctx, byBulk[0].CustomerID)
	assert.Equal(t, row.NameTokens, upserted.NameTokens)
	assert.Equal(t, row.PhoneIndex, upserted.PhoneIndex)
	assert.Equal(t, row.PhoneLast4Token, upserted.PhoneLast4Token)
	assert.Equal(t, row.EmailIndex, upserted.EmailIndex)
	assert.Equal(t, row.CardNumberIndex, upserted.CardNumberIndex)
	assert.NotEqual(t, row.NameSealed, upserted.NameSealed)

	opened, err := open(w.keys, upserted)
	require.NoError(t, err)
	assert.NotEqual(t, byCreate.About.ID, opened.About.ID) // another customer's address
	opened.About.ID = byCreate.About.ID
	assert.Equal(t, byCreate.Person, opened.Person)
	doc, _, err := w.readProfileDocument(ctx, upserted.ID, w.clock.Today())
	require.NoError(t, err)
	viaGet, err := w.Get(ctx, upserted.ID)
	require.NoError(t, err)
	assert.Equal(t, toAPICustomer(viaGet), doc.Customer)

	emptied := w.pg.CRM.Customer.GetX(ctx, byCreate.ID)
	for name, v := range map[string][]byte{"phone": emptied.PhoneSealed, "email": emptied.EmailSealed, "card": emptied.CardNumberSealed, "address": emptied.AddressSealed} {
		assert.Empty(t, v, name)
	}
	var unknown bool
	require.NoError(t, w.pg.SQL.QueryRow("SELECT phone_index IS NULL AND email_index IS NULL AND card_number_index IS NULL AND phone_last4_token IS NULL FROM customers WHERE id = $1", byCreate.ID).Scan(&unknown))
	assert.True(t, unknown)
	assert.Nil(t, emptied.PhoneKind)
}

// A dump of the rows shows nobody's name, number or address; a ciphertext moved
// to another row does not open.
func TestRowsHoldNothingInClear(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	c := w.add(everything())
	other := w.add(Input{Name: some("赵六")})
	var dump string
	require.NoError(t, w.pg.SQL.QueryRow("SELECT (SELECT string_agg(c::text, '') FROM customers c) || (SELECT string_agg(a::text, '') FROM audit_logs a) || (SELECT string_agg(o::text, '') FROM outbox_events o)").Scan(&dump))
	for _, clear := range []string{"欧阳", "小明", "13800138000", "ming", "Ming", "6688001234", "南京东路", "赵六", "秘密尺码"} {
		assert.NotContains(t, dump, clear)
	}
	row := w.pg.CRM.Customer.GetX(ctx, c.ID)
	stolen := w.pg.CRM.Customer.GetX(ctx, other.ID)
	stolen.NameSealed = row.NameSealed
	_, err := open(w.keys, stolen)
	assert.Error(t, err)
}

func TestRefusedValues(t *testing.T) {
	w := newWorld(t)
	big := map[string]any{"x": strings.Repeat("x", maxObject)}
	for name, c := range map[string]struct {
		in      Input
		code    string
		pointer string
	}{
		"phone":       {Input{Phone: some("12345")}, "customers.phone_invalid", "/phone"},
		"email":       {Input{Email: some("a@b")}, "customers.email_invalid", "/email"},
		"card":        {Input{CardNumber: some("!")}, "customers.card_number_invalid", "/card_number"},
		"name":        {Input{Name: some("  ")}, "customers.name_invalid", "/name"},
		"born later":  {Input{Name: some("李"), BirthDate: some(time.Date(2026, 7, 4, 0, 0, 0, 0, time.UTC))}, "customers.birth_date_invalid", "/birth_date"},
		"born early":  {Input{Name: some("李"), BirthDate: some(time.Date(1899, 12, 31, 0, 0, 0, 0, time.UTC))}, "customers.birth_date_invalid", "/birth_date"},
		"nobody":      {Input{Gender: ptr("male")}, "customers.identity_required", ""},
		"gender":      {Input{Name: some("李"), Gender: ptr("x")}, "customers.value_invalid", "/gender"},
		"object":      {Input{Name: some("李"), Preferences: &big}, "customers.object_too_large", "/preferences"},
		"zero byte":   {Input{Name: some("李"), Preferences: &map[string]any{"a": "\x00"}}, "customers.value_invalid", "/preferences"},
		"store":       {Input{Name: some("李"), HomeStoreID: some(uuid.New())}, "customers.store_invalid", "/home_store_id"},
		"assistant":   {Input{Name: some("李"), AssignedStaffID: some(uuid.New())}, "customers.staff_invalid", "/assigned_staff_id"},
		"tag":         {Input{Name: some("李"), Tags: &[]string{" "}}, "tags.name_invalid", "/tags/0"},
		"external id": {Input{ExternalID: some("a\x01")}, "customers.value_invalid", "/external_id"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Create(w.admin(), c.in)
			e := apperr.From(err)
			require.NotNil(t, e, "%v", err)
			assert.Equal(t, c.code, e.Def.Code)
			require.Len(t, e.Fields, 1)
			assert.Equal(t, c.pointer, e.Fields[0].Pointer)
		})
	}
	_, err := w.Create(w.admin(), Input{Phone: some("1"), Email: some("1")})
	require.Equal(t, apperr.ErrInvalid, apperr.From(err).Def)
	assert.Len(t, apperr.From(err).Fields, 2)
	var n int
	require.NoError(t, w.pg.SQL.QueryRow("SELECT count(*) FROM customers").Scan(&n))
	assert.Zero(t, n, "nothing half-written")
}

func TestDuplicatesNameTheHolderOnlyToThoseWhoMaySeeIt(t *testing.T) {
	w := newWorld(t)
	held := w.add(Input{Phone: some("13800138000"), HomeStoreID: some(w.storeA), AssignedStaffID: some(w.ann)})
	for name, c := range map[string]struct {
		ctx  context.Context
		seen bool
	}{"holder's assistant": {w.assistant(w.ann), true}, "another": {w.assistant(w.bob), false}, "administrator": {w.admin(), true}} {
		_, err := w.Create(c.ctx, Input{Phone: some("+86 138-0013-8000")})
		require.True(t, ErrDuplicate.Is(err), "%s: %v", name, err)
		e := apperr.From(err)
		assert.Equal(t, "/phone", e.Fields[0].Pointer)
		if c.seen {
			assert.Equal(t, held.ID, e.Extra["existing_id"], name)
		} else {
			assert.Empty(t, e.Extra, name)
		}
	}
	mine := w.add(Input{Name: some("李雷")})
	_, err := w.Update(w.admin(), mine.ID, Input{Phone: some("13800138000")}, nil)
	require.True(t, ErrDuplicate.Is(err))
	assert.Equal(t, held.ID, apperr.From(err).Extra["existing_id"])
}

func TestTwinsMakeOneCustomer(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, results[i] = w.Create(w.admin(), Input{Phone: some("13912345678"), Email: some("twin@example.com")})
		}()
	}
	wg.Wait()
	made := 0
	for _, err := range results {
		if err == nil {
			made++
			continue
		}
		assert.True(t, ErrDuplicate.Is(err), "%v", err)
		assert.NotEmpty(t, apperr.From(err).Extra["existing_id"])
	}
	assert.Equal(t, 1, made)
}

func TestWhereCustomersMayBePut(t *testing.T) {
	w := newWorld(t)
	ann := w.assistant(w.ann)
	c, err := w.Create(ann, Input{Name: some("李雷")})
	require.NoError(t, err)
	assert.Equal(t, w.storeA, *c.HomeStoreID, "an assistant's customer belongs to the assistant's store")
	assert.Equal(t, w.ann, *c.AssignedStaffID)

	for name, in := range map[string]Input{
		"another's":         {Name: some("韩梅"), AssignedStaffID: some(w.bob)},
		"nobody's":          {Name: some("韩梅"), AssignedStaffID: null[uuid.UUID]()},
		"in another's shop": {Name: some("韩梅"), HomeStoreID: some(w.storeB)},
	} {
		_, err := w.Create(ann, in)
		assert.Equal(t, apperr.Invalid, apperr.From(err).Def.Kind, name)
		_, err = w.Update(ann, c.ID, in, nil)
		assert.Equal(t, apperr.Invalid, apperr.From(err).Def.Kind, name)
	}
	moved, err := w.Update(w.admin(), c.ID, Input{HomeStoreID: some(w.storeB), AssignedStaffID: some(w.cy)}, nil)
	require.NoError(t, err)
	assert.Equal(t, int64(2), moved.Version)
	_, err = w.Get(ann, c.ID)
	assert.True(t, ErrNotFound.Is(err), "gone from the assistant's scope")
	_, err = w.Update(ann, c.ID, Input{Name: some("我")}, nil)
	assert.True(t, ErrNotFound.Is(err))

	both := w.as("assistant", auth.Scope{StoreIDs: []uuid.UUID{w.storeA, w.storeB}}, w.ann)
	_, err = w.Create(both, Input{Name: some("无店")})
	assert.True(t, ErrStoreNeeded.Is(err), "%v", err)
}

func TestArchivedCustomersRest(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	c := w.add(Input{Phone: some("13800138000"), Name: some("李雷")})
	_, err := w.Archive(ctx, c.ID, ptr(`"7"`))
	require.True(t, apperr.ErrVersionMismatch.Is(err))
	a, err := w.Archive(ctx, c.ID, ptr(`"1-abc"`))
	require.NoError(t, err)
	require.NotNil(t, a.ArchivedAt)
	again, err := w.Archive(ctx, c.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, a.Version, again.Version, "archiving twice changes nothing")
	_, err = w.Update(ctx, c.ID, Input{Gender: ptr("male")}, nil)
	assert.True(t, ErrArchived.Is(err))
	_, err = w.Lookup(ctx, Ref{Phone: "13800138000"})
	assert.True(t, ErrNotFound.Is(err))
	_, err = w.Create(ctx, Input{Phone: some("13800138000")})
	assert.True(t, ErrDuplicate.Is(err), "it keeps its number")
	p, err := w.List(ctx, Filter{}, Paging{Limit: 10})
	require.NoError(t, err)
	assert.Empty(t, p.Items)
	p, err = w.List(ctx, Filter{Archived: true}, Paging{Limit: 10})
	require.NoError(t, err)
	assert.Len(t, p.Items, 1)
	r, err := w.Restore(ctx, c.ID, nil)
	require.NoError(t, err)
	assert.Nil(t, r.ArchivedAt)
}

func TestTillLookUpReachesBeyondTheScopeAndIsAudited(t *testing.T) {
	w := newWorld(t)
	c := w.add(everything())
	bob := w.assistant(w.bob)
	for _, ref := range []Ref{{Phone: "13800138000"}, {CardNumber: "6688 001234"}, {ExternalID: "C-1"}} {
		got, err := w.Lookup(bob, ref)
		require.NoError(t, err)
		assert.Equal(t, c.ID, got.ID)
	}
	_, err := w.Lookup(bob, Ref{Phone: "13800138009"})
	require.True(t, ErrNotFound.Is(err))
	_, err = w.Get(bob, c.ID)
	require.True(t, ErrNotFound.Is(err), "looking up does not open the record")
	_, err = w.Reveal(bob, c.ID, []string{"phone"}, "好奇")
	require.True(t, ErrNotFound.Is(err))
	shown, err := w.Reveal(w.admin(), c.ID, []string{"phone"}, "来电核对")
	require.NoError(t, err)
	assert.Equal(t, "+8613800138000", shown.Phone)

	rows, err := w.pg.SQL.Query("SELECT action, reason, changes::text FROM audit_logs WHERE action IN ('customers.lookup', 'customers.reveal') ORDER BY created_at, id")
	require.NoError(t, err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var action, reason, changes string
		require.NoError(t, rows.Scan(&action, &reason, &changes))
		var c map[string]any
		require.NoError(t, json.Unmarshal([]byte(changes), &c))
		got = append(got, action+" "+reason)
	}
	assert.Equal(t, []string{"customers.lookup ", "customers.lookup ", "customers.lookup ", "customers.lookup ", "customers.reveal 来电核对"}, got)
}

func TestResolveFindsAllKindsOfReferencesAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.add(func() Input {
		in := everything()
		in.HomeStoreID = some(w.storeA)
		in.AssignedStaffID = some(w.ann)
		return in
	}())
	refs := []Ref{{Phone: "138-0013-8000"}, {}, {CardNumber: "6688001234"}, {ExternalID: "nobody"}, {ExternalID: "C-1"}, {ID: c.ID}, {ID: uuid.New()}, {Phone: "junk"}}
	err := w.pg.InTx(w.assistant(w.cy), func(ctx context.Context, tx *db.Tx) error {
		got, err := w.Resolve(ctx, tx, refs)
		require.NoError(t, err)
		is := Resolved{ID: c.ID, HomeStoreID: w.storeA, AssignedStaffID: w.ann}
		assert.Equal(t, []Resolved{is, {}, is, {}, is, is, {}, {}}, got)
		return nil
	})
	require.NoError(t, err)
}

func TestBulkNamesTheBadAndKeepsTheGood(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	w.add(Input{ExternalID: some("have"), Name: some("旧名"), Phone: some("13800138000")})
	item := func(external, name, phone string) BulkItem {
		in := Input{Name: some(name)}
		if external != "" {
			in.ExternalID = some(external)
		}
		if phone != "" {
			in.Phone = some(phone)
		}
		return BulkItem{Input: in}
	}
	out, err := w.Bulk(ctx, BulkCreate, []BulkItem{
		item("n1", "甲一", "13800138001"), item("n2", "乙二", "123"), item("n3", "丙三", "13800138000"), item("n4", "丁四", "13800138001"),
		{Input: Input{Name: some("戊五"), HomeStoreID: some(uuid.New())}}, item("", "己六", ""),
	})
	require.NoError(t, err)
	status := func(out []BulkOutcome) (s []string) {
		for _, o := range out {
			if o.Err != nil {
				e := apperr.From(o.Err)
				s = append(s, e.Def.Code+" "+e.Fields[0].Pointer)
			} else {
				s = append(s, o.Status)
			}
		}
		return s
	}
	assert.Equal(t, []string{"created", "customers.phone_invalid /phone", "customers.duplicate /phone", "customers.duplicate /phone",
		"customers.store_invalid /home_store_id", "created"}, status(out))

	out, err = w.Bulk(ctx, BulkUpsert, []BulkItem{
		item("have", "新名", ""), item("n1", "甲一", "13800138000"), item("fresh", "庚七", ""), item("", "无号", ""), item("fresh", "再来", ""),
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"updated", "customers.duplicate /phone", "created", "customers.key_required /external_id", "customers.repeated_in_batch /external_id"}, status(out))
	p, err := w.List(ctx, Filter{ExternalID: "have"}, Paging{Limit: 1})
	require.NoError(t, err)
	assert.Equal(t, "新名", p.Items[0].Name)
	assert.Equal(t, "+8613800138000", p.Items[0].Phone, "fields not given stay")

	out, err = w.Bulk(ctx, BulkDelete, []BulkItem{item("have", "", ""), {ID: ptr(uuid.New())}, {ID: &p.Items[0].ID}, {}})
	require.NoError(t, err)
	assert.Equal(t, []string{"archived", "customers.not_found /id", "archived", "customers.key_required /id"}, status(out))

	_, err = w.Bulk(w.assistant(w.ann), BulkDelete, []BulkItem{item("n1", "", "")})
	assert.True(t, apperr.ErrForbidden.Is(err), "an assistant may not archive")
}

func TestEveryWriteIsAuditedAndAnnounced(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	c := w.add(everything())
	_, err := w.Update(ctx, c.ID, Input{Gender: ptr("female")}, nil)
	require.NoError(t, err)
	_, err = w.Update(ctx, c.ID, Input{Gender: ptr("female")}, nil)
	require.NoError(t, err, "without a difference nothing is written")
	_, err = w.AddTags(ctx, c.ID, []string{"VIP", "老客"}, nil)
	require.NoError(t, err)
	require.NoError(t, w.RemoveTag(ctx, c.ID, c.TagIDs[0]))
	_, err = w.Archive(ctx, c.ID, nil)
	require.NoError(t, err)
	list := func(query string) (out []string) {
		rows, err := w.pg.SQL.Query(query, c.ID.String())
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var s string
			require.NoError(t, rows.Scan(&s))
			out = append(out, s)
		}
		return out
	}
	assert.Equal(t, []string{"customers.create", "customers.update", "customers.tag", "customers.untag", "customers.archive"},
		list("SELECT action FROM audit_logs WHERE object_type = 'customer' AND object_id = $1 ORDER BY id"))
	assert.Equal(t, []string{"customer.created", "customer.updated", "customer.updated", "customer.updated", "customer.archived"},
		list("SELECT type FROM outbox_events WHERE subject_id = $1::uuid ORDER BY seq"))
	got, err := w.Get(ctx, c.ID)
	require.NoError(t, err)
	assert.Equal(t, int64(5), got.Version)
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	_, err := w.Create(w.assistant(w.ann), Input{Name: some("李雷"), Tags: &[]string{"没有"}})
	require.True(t, ErrUnknownTag.Is(err), "who may not define tags cannot make one by the way")
	tag, err := w.CreateTag(ctx, TagInput{Name: ptr(" 金  卡 "), Color: some("#ffd700")})
	require.NoError(t, err)
	assert.Equal(t, "金 卡", tag.Name)
	_, err = w.CreateTag(ctx, TagInput{Name: ptr("金 卡")})
	require.True(t, ErrTagDuplicate.Is(err), "%v", err)
	c, err := w.Create(w.assistant(w.ann), Input{Name: some("李雷"), Tags: &[]string{"金 卡"}})
	require.NoError(t, err)
	require.True(t, ErrTagInUse.Is(w.DeleteTag(ctx, tag.ID, nil)))
	_, err = w.UpdateTag(ctx, tag.ID, TagInput{Name: ptr("银卡"), Color: null[string]()}, ptr(`"1"`))
	require.NoError(t, err)
	got, err := w.Get(ctx, c.ID)
	require.NoError(t, err)
	assert.Equal(t, []string{"银卡"}, got.Tags)
	require.NoError(t, w.RemoveTag(ctx, c.ID, tag.ID))
	require.NoError(t, w.DeleteTag(ctx, tag.ID, nil))
	require.True(t, ErrTagNotFound.Is(w.DeleteTag(ctx, tag.ID, nil)))
}
