package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mozillazg/go-pinyin"
)

// hot: the cached profile against a bare handler giving the same bytes.
func (w *world) hot(ctx context.Context) error {
	heading("Hot profile: GET /v1/customers/{id}/profile, authenticated, authorised, scoped")
	n := min(1000, len(w.customers))
	ours, bare := make([][]byte, n), make([][]byte, n)
	for i, id := range w.customers[:n] {
		body, err := w.body(ctx, "/v1/customers/"+id+"/profile", w.admin)
		if err != nil {
			return err
		}
		if i == 0 {
			fmt.Printf("  a profile has %d bytes\n", len(body))
		}
		if err := w.redis.Set(ctx, "bench:"+id, body, 0).Err(); err != nil {
			return err
		}
		ours[i] = request("GET", "/v1/customers/"+id+"/profile", w.admin, nil)
		bare[i] = request("GET", "/redis/"+id, "", nil)
	}
	return w.versus("profile, hot", "bare Echo, one Redis GET of the same bytes",
		func() (result, error) { return run(w.addr, w.o.conns, w.o.round, cycle(ours)) },
		func() (result, error) { return run(w.bareAdr, w.o.conns, w.o.round, cycle(bare)) })
}

// overhead: what authentication, permission and scope cost a request, as the
// difference of two operations that do next to nothing. Both are counted by
// shared limits (go test -bench Allow ./internal/platform/ratelimit tells those).
func (w *world) overhead(ctx context.Context) error {
	heading("Overhead of an authenticated request: GET /v1/me/staff by key against an operation open to everybody")
	key, err := w.issueKey(ctx)
	if err != nil {
		return err
	}
	signed, open := [][]byte{request("GET", "/v1/me/staff", key, nil)}, [][]byte{request("GET", "/.well-known/oauth-authorization-server", "", nil)}
	var spent []float64
	var as, bs []result
	for range w.o.rounds {
		a, err := run(w.addr, w.o.conns, w.o.round, cycle(signed))
		if err != nil {
			return err
		}
		b, err := run(w.addr, w.o.conns, w.o.round, cycle(open))
		if err != nil {
			return err
		}
		as, bs = append(as, a), append(bs, b)
		spent = append(spent, 1e6/a.rate()-1e6/b.rate())
	}
	row("authenticated and limited, on the key itself", median(as))
	row("open to everybody, limited by address", median(bs))
	slices.Sort(spent)
	fmt.Printf("  overhead, median of %d interleaved rounds: %.1f µs a request of the whole machine's time (%.1f to %.1f)\n",
		len(spent), spent[len(spent)/2], spent[0], spent[len(spent)-1])
	return nil
}

// issueKey makes an API key through the API.
func (w *world) issueKey(ctx context.Context) (string, error) {
	body := `{"name":"bench","permissions":["stores.read"],"all_stores":true,"requests_per_minute":10000000}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.addr+"/v1/api-keys", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+w.admin)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var made struct{ Key string }
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("create an API key: status %d", res.StatusCode)
	}
	return made.Key, nil
}

// cold: profiles nobody asked for before.
func (w *world) cold(ctx context.Context) error {
	heading("Cold profile: from PostgreSQL, then filled into Redis")
	reqs := make([][]byte, 0, len(w.customers))
	for _, id := range w.customers[min(1000, len(w.customers)-1):] {
		reqs = append(reqs, request("GET", "/v1/customers/"+id+"/profile", w.admin, nil))
	}
	r, err := run(w.addr, w.o.conns, w.o.round, once(reqs))
	if err == nil {
		row("profile, first time", r)
	}
	return err
}

// get: a plain read against the same ent Get.
func (w *world) get(context.Context) error {
	heading("Plain read: GET /v1/customers/{id} from PostgreSQL")
	var ours, bare [][]byte
	for _, id := range w.customers {
		ours = append(ours, request("GET", "/v1/customers/"+id, w.admin, nil))
		bare = append(bare, request("GET", "/ent/"+id, "", nil))
	}
	return w.versus("customer by id", "bare Echo, the same ent Get",
		func() (result, error) { return run(w.addr, w.o.conns, w.o.round, cycle(ours)) },
		func() (result, error) { return run(w.bareAdr, w.o.conns, w.o.round, cycle(bare)) })
}

// search: 10,000 different needles of each kind in three scopes, twenty hits a
// page, as a till shows them.
func (w *world) search(context.Context) error {
	heading("Search: POST /v1/customers/search, 10,000 different needles, limit 20")
	const needles = 10_000
	r := rand.New(rand.NewPCG(1, 2))
	phones, last4, names, common := make([]any, needles), make([]any, needles), make([]any, needles), []any{}
	for i := range needles {
		p := w.people.At(r.IntN(w.o.customers))
		phones[i] = map[string]any{"phone": p.Phone}
		last4[i] = map[string]any{"phone_last4": fmt.Sprintf("%04d", i)}
		names[i] = map[string]any{"name": nameNeedle(r, p.Name)}
	}
	for _, s := range []string{"wang", "li", "zhang", "liu", "chen", "yang", "zhao", "huang", "zhou", "wu", "王伟", "李娜", "张敏", "刘洋", "陈静", "zh", "li", "wa", "ch", "ya"} {
		common = append(common, map[string]any{"name": s})
	}
	for _, who := range []struct{ name, token string }{{"administrator", w.admin}, {"manager of one store", w.manager}, {"assistant, own customers", w.assistant}} {
		for _, what := range []struct {
			name   string
			bodies []any
		}{{"full phone", phones}, {"last four", last4}, {"name fragment", names}, {"commonest names", common}} {
			reqs := make([][]byte, len(what.bodies))
			for i, b := range what.bodies {
				b.(map[string]any)["limit"] = 20
				body, err := json.Marshal(b)
				if err != nil {
					return err
				}
				reqs[i] = request("POST", "/v1/customers/search", who.token, body)
			}
			if who.token == w.admin { // who comes first would measure how PostgreSQL fills its buffers
				if _, err := run(w.addr, w.o.conns, w.o.round, cycle(reqs)); err != nil {
					return err
				}
			}
			res, err := run(w.addr, w.o.conns, w.o.round, cycle(reqs))
			if err != nil {
				return err
			}
			row(what.name+", "+who.name, res)
		}
	}
	return nil
}

// nameNeedle is what somebody at a till would type of a name: two characters,
// all of it, or its beginning in pinyin.
func nameNeedle(r *rand.Rand, name string) string {
	runes := []rune(name)
	switch k := r.IntN(10); {
	case k < 5:
		i := r.IntN(len(runes) - 1)
		return string(runes[i : i+2])
	case k < 7:
		return name
	default:
		full := strings.Join(pinyin.LazyPinyin(name, pinyin.NewArgs()), "")
		return full[:min(len(full), 2+r.IntN(6))]
	}
}

// list: the newest, in two scopes, and a page far down.
func (w *world) list(ctx context.Context) error {
	heading("Lists: GET /v1/customers?limit=50")
	for _, m := range []struct{ name, path, token string }{
		{"newest 50, administrator", "/v1/customers?limit=50", w.admin},
		{"newest 50, manager of one store", "/v1/customers?limit=50", w.manager},
	} {
		r, err := run(w.addr, w.o.conns, w.o.round, cycle([][]byte{request("GET", m.path, m.token, nil)}))
		if err != nil {
			return err
		}
		row(m.name, r)
	}
	next := "/v1/customers?limit=200"
	cursor := ""
	depth := 0
	for depth < w.o.customers*9/10 && depth < 200_000 {
		body, err := w.body(ctx, next, w.key)
		if err != nil {
			return err
		}
		var page struct {
			NextCursor string `json:"next_cursor"`
			HasMore    bool   `json:"has_more"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return err
		}
		if !page.HasMore {
			return errors.New("the list ended early")
		}
		cursor = page.NextCursor
		next = "/v1/customers?limit=200&cursor=" + cursor
		depth += 200
	}
	// The cursor belongs to the list, not to the page size.
	r, err := run(w.addr, w.o.conns, w.o.round, cycle([][]byte{request("GET", "/v1/customers?limit=50&cursor="+cursor, w.key, nil)}))
	if err == nil {
		row(fmt.Sprintf("50 after the first %d, administrator", depth), r)
	}
	return err
}

// create: one customer a request, each with its own Idempotency-Key.
func (w *world) create(context.Context) error {
	heading("Create: POST /v1/customers, encrypted, indexed, audited, idempotent, durable")
	const most = 60_000
	base := 2_000_000 + int(time.Now().Unix()/15%1600)*most // people no recent run has made
	reqs := make([][]byte, most)
	for i := range reqs {
		body, err := json.Marshal(w.person(w.people.At(base + i)))
		if err != nil {
			return err
		}
		reqs[i] = request("POST", "/v1/customers", w.admin, body, fmt.Sprintf("Idempotency-Key: bench-%d", base+i))
	}
	r, err := run(w.addr, w.o.conns, w.o.round, once(reqs))
	if err == nil {
		row("customer created", r)
	}
	return err
}

// pos: tickets of three lines, known customers, known products.
func (w *world) pos(ctx context.Context) error {
	if err := w.tickets(ctx, "Tickets: POST /v1/pos/orders, 500 tickets of 3 lines a request", "BENCH", 2000); err != nil {
		return err
	}
	if err := w.stockShelves(ctx); err != nil {
		return err
	}
	return w.tickets(ctx, "Tickets that move the stock of their store", "SHELF", shelfSize)
}

func (w *world) tickets(_ context.Context, title, prefix string, skus int) error {
	heading(title)
	const perBatch = 500
	type m = map[string]any
	r := rand.New(rand.NewPCG(3, 4))
	run1 := time.Now().UnixNano()
	var reqs [][]byte
	for b := range 80 {
		orders := make([]m, perBatch)
		for i := range orders {
			lines := make([]m, 3)
			for k := range lines {
				lines[k] = m{"sku": fmt.Sprintf("%s-%d", prefix, (r.IntN(skus/3))*3+k), "title": "商品", "category": "测试", "quantity": 1 + r.IntN(3), "unit_price_amount": 100 * (5 + r.IntN(200))}
			}
			orders[i] = m{"store_id": w.stores[r.IntN(storeCount)], "external_number": fmt.Sprintf("%s%d-%d-%d", prefix, run1, b, i), "type": "sale",
				"placed_at": time.Now().Add(-time.Duration(r.IntN(360*24)) * time.Hour).UTC().Format(time.RFC3339),
				"customer":  m{"external_id": fmt.Sprintf("B-%d", r.IntN(w.o.customers))}, "lines": lines}
		}
		body, err := json.Marshal(m{"create_missing_variants": true, "orders": orders})
		if err != nil {
			return err
		}
		reqs = append(reqs, request("POST", "/v1/pos/orders", w.key, body))
	}
	// The first batch makes the products.
	if _, err := run(w.addr, 1, time.Minute, once(reqs[:1])); err != nil {
		return err
	}
	res, err := run(w.addr, 4, 2*w.o.round, once(reqs[1:]))
	if err != nil {
		return err
	}
	fmt.Printf("  %-52s %9.0f tickets/s, 4 connections, batch p50 %s%s\n", "tickets taken in", res.rate()*perBatch, ms(res.quantile(.5)), failures(res))
	return nil
}

func (w *world) body(ctx context.Context, path, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.addr+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, res.Status, body)
	}
	return body, err
}

// cycle hands out requests round and round; once hands out each one time.
func cycle(reqs [][]byte) func(int, int) []byte {
	var n atomic.Int64
	return func(int, int) []byte { return reqs[int(n.Add(1)-1)%len(reqs)] }
}

func once(reqs [][]byte) func(int, int) []byte {
	var n atomic.Int64
	return func(int, int) []byte {
		if i := int(n.Add(1) - 1); i < len(reqs) {
			return reqs[i]
		}
		return nil
	}
}
