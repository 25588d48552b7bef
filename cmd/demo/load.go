package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/shuke-crm/shuke/internal/platform/pii/fakepeople"
)

// demo is one run of the loader.
type demo struct {
	api      *api
	password string // of the staff made in this run
	stores   [2]store
	created  bool // staff were made in this run, so their password is known
}

type store struct {
	ID, Code, Name string
	assistants     [2]string // staff ids
}

type resource struct {
	ID       string `json:"id"`
	Code     string `json:"code"`
	Username string `json:"username"`
}

type list[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// shops makes two stores, each with a manager and two assistants.
func (d *demo) shops(ctx context.Context) error {
	d.stores = [2]store{{Code: "DEMO-A", Name: "示范书店 南京路店"}, {Code: "DEMO-B", Name: "示范书店 徐家汇店"}}
	for i := range d.stores {
		s := &d.stores[i]
		id, err := d.ensure(ctx, "/v1/stores", s.Code, map[string]any{"code": s.Code, "name": s.Name, "city": "上海"})
		if err != nil {
			return err
		}
		s.ID = id
		letter := strings.ToLower(s.Code[len(s.Code)-1:])
		grants := func(role, scope string) []map[string]any {
			g := map[string]any{"role": role, "scope": scope}
			if scope == "store" {
				g["store_id"] = s.ID
			}
			return []map[string]any{g}
		}
		if _, err := d.staff(ctx, "manager-"+letter, "店长 "+s.Code, s.ID, grants("store_manager", "store")); err != nil {
			return err
		}
		for n := range s.assistants {
			name := fmt.Sprintf("assistant-%s%d", letter, n+1)
			if s.assistants[n], err = d.staff(ctx, name, fmt.Sprintf("导购 %s-%d", s.Code, n+1), s.ID, grants("assistant", "own")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *demo) staff(ctx context.Context, username, name, storeID string, grants []map[string]any) (string, error) {
	return d.ensure(ctx, "/v1/staff", username, map[string]any{
		"username": username, "name": name, "store_id": storeID, "password": d.password, "must_change_password": false, "grants": grants,
	})
}

// ensure creates something with a code of its own, or finds it by that code.
func (d *demo) ensure(ctx context.Context, path, code string, body map[string]any) (string, error) {
	for page := path + "?limit=200"; ; {
		var found list[resource]
		if err := d.api.call(ctx, "GET", page, "", nil, &found); err != nil {
			return "", err
		}
		for _, r := range found.Items {
			if r.Code == code || r.Username == code {
				return r.ID, nil
			}
		}
		if found.NextCursor == "" {
			break
		}
		page = path + "?limit=200&cursor=" + found.NextCursor
	}
	var made struct {
		resource
		Staff *resource `json:"staff"`
	}
	if err := d.api.call(ctx, "POST", path, "", body, &made); err != nil {
		return "", err
	}
	d.created = d.created || path == "/v1/staff"
	if made.Staff != nil {
		return made.Staff.ID, nil
	}
	return made.ID, nil
}

// books loads the catalogue. The source has no prices: a stated formula makes
// them, 29 to 98 yuan by the number of the book.
func (d *demo) books(ctx context.Context, limit int) error {
	rows, err := readCSV("data/books.csv.gz")
	if err != nil {
		return err
	}
	if limit > 0 && limit < len(rows) {
		rows = rows[:limit]
	}
	bar := newProgress(os.Stdout, "books", len(rows))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, r := range rows {
		g.Go(func() error {
			defer bar.add(1)
			number, err := strconv.Atoi(r[0])
			if err != nil {
				return err
			}
			book := map[string]any{"isbn13": r[2], "authors": splitList(r[5], 50, 200), "subjects": splitList(r[10], 50, 100), "language": cut(r[7], 16)}
			if year, err := strconv.Atoi(r[6]); err == nil && year > 0 {
				book["published_on"] = fmt.Sprintf("%04d", year)
			}
			err = d.api.call(ctx, "POST", "/v1/products", "", map[string]any{
				"kind": "book", "title": cut(r[3], 300), "book": book,
				"variants": []map[string]any{{"sku": "BOOK-" + r[0], "barcode": r[2], "price_amount": 2900 + 100*(number%70)}},
			}, nil)
			if isProblem(err, "catalog.sku_taken") {
				return nil // loaded by an earlier run
			}
			return err
		})
	}
	return g.Wait()
}

// identity is who a customer of the history is made out to be.
type identity struct {
	id, country string // as in the history
	fakepeople.Person
}

// identities gives the 611 known customers of the history an invented Chinese
// identity each, the same in every run.
func identities(history []line) []identity {
	country := map[string]string{}
	for _, l := range history {
		if l.customer != "" {
			country[l.customer] = l.country
		}
	}
	people := fakepeople.New(20111209)
	out := make([]identity, 0, len(country))
	for _, id := range slices.Sorted(maps.Keys(country)) {
		out = append(out, identity{id, country[id], people.Person()})
	}
	return out
}

// customers makes the known customers of the history, with a home store and an
// assistant each.
func (d *demo) customers(ctx context.Context, history []line) error {
	if err := d.ensureTag(ctx, "海外"); err != nil {
		return err
	}
	known := identities(history)
	bar := newProgress(os.Stdout, "customers", len(known))
	for batch := range slices.Chunk(known, 200) {
		items := make([]map[string]any, len(batch))
		for i, one := range batch {
			id, p := one.id, one.Person
			s := d.stores[hash(id)%2]
			items[i] = map[string]any{
				"external_id": externalID(id), "name": p.Name, "gender": string(p.Gender), "birth_date": p.BirthDate.Format("2006-01-02"),
				"phone": p.Phone, "card_number": "88" + id, "source": "import",
				"home_store_id": s.ID, "assigned_staff_id": s.assistants[hash(id)/2%2],
				"address": map[string]any{"country": "CN", "region": p.Address.Region, "city": p.Address.City, "district": p.Address.District, "line1": p.Address.Line1},
			}
			if p.Email != "" {
				items[i]["email"] = p.Email
			}
			if one.country != "United Kingdom" {
				items[i]["tags"] = []string{"海外"}
			}
		}
		var answer struct {
			Results []struct {
				Index  int      `json:"index"`
				Status string   `json:"status"`
				Error  *problem `json:"error"`
			} `json:"results"`
		}
		if err := d.api.call(ctx, "POST", "/v1/customers/bulk", "", map[string]any{"mode": "upsert", "items": items}, &answer); err != nil {
			return err
		}
		for _, r := range answer.Results {
			if r.Error != nil {
				return fmt.Errorf("%v: %s %s", items[r.Index]["external_id"], r.Error.Code, r.Error.Detail)
			}
		}
		bar.add(len(batch))
	}
	return nil
}

func (d *demo) ensureTag(ctx context.Context, name string) error {
	err := d.api.call(ctx, "POST", "/v1/tags", "", map[string]any{"name": name}, nil)
	if isProblem(err, "tags.duplicate") {
		return nil
	}
	return err
}

// tickets sends the invoices as tills would, known customers to their home
// store and anonymous ones by the number of the invoice.
func (d *demo) tickets(ctx context.Context, history []line) error {
	all := tickets(history, func(l line) string {
		if l.customer != "" {
			return d.stores[hash(l.customer)%2].ID
		}
		return d.stores[hash(l.invoice)%2].ID
	})
	bar := newProgress(os.Stdout, "tickets", len(all))
	counts := map[string]int{}
	for batch := range slices.Chunk(all, 100) {
		var answer struct {
			Results []struct {
				Index  int      `json:"index"`
				Status string   `json:"status"`
				Error  *problem `json:"error"`
			} `json:"results"`
		}
		if err := d.api.call(ctx, "POST", "/v1/pos/orders", "", map[string]any{"create_missing_variants": true, "orders": batch}, &answer); err != nil {
			return err
		}
		for _, r := range answer.Results {
			counts[r.Status]++
			if r.Error != nil {
				return fmt.Errorf("invoice %s: %s %s", batch[r.Index].ExternalNumber, r.Error.Code, r.Error.Detail)
			}
		}
		bar.add(len(batch))
	}
	fmt.Printf("  %d tickets created, %d known from an earlier run\n", counts["created"], counts["duplicate"])
	return nil
}

func hash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32() & math.MaxInt32
}

func splitList(s string, most, longest int) []string {
	out := []string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = cut(strings.TrimSpace(part), longest); part != "" && len(out) < most {
			out = append(out, part)
		}
	}
	return out
}

// cut shortens to n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}
