package server_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/embedded"
)

// TestCrashLosesNothingAcknowledged kills the service, and once PostgreSQL
// under it, while a client sends tickets and customers and notes every
// acknowledgement in a file. What was acknowledged must be there, once; what
// was not may be sent again; and nothing may be half there.
func TestCrashLosesNothingAcknowledged(t *testing.T) {
	t.Parallel() // much of it is waiting for processes to end and to begin
	kills := 6
	if testing.Short() {
		kills = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))

	s := newCrashing(t)
	s.start()
	c := newTillClient(t, s)
	c.begin()
	for n := range kills {
		c.await(8)
		time.Sleep(time.Duration(chance.IntN(300)) * time.Millisecond)
		if n == kills/2 {
			s.killPostgres() // the service stays and starts it again
			s.waitReady()
			continue
		}
		s.kill()
		s.start()
	}
	c.await(8)
	c.end()
	s.kill() // the last acknowledgement is a moment old
	s.start()

	d := s.database()
	acknowledged := readAcknowledged(t, c.path)
	t.Logf("%d of %d requests acknowledged, %d kills", len(acknowledged), c.sent(), kills+1)
	require.Greater(t, len(acknowledged), 20)
	require.Less(t, len(acknowledged), int(c.sent()), "no request was cut off: the kills hit nothing")
	require.Positive(t, number(t, d, "SELECT count(*) FROM order_returns WHERE order_id IS NOT NULL"))
	requireAllThere(t, d, acknowledged)
	requireWhole(t, d)

	c.sendAllAgain(acknowledged)
	requireExactly(t, d, c)
	requireWhole(t, d)
	s.requireVerified()
	s.stop()
}

// crashing is the service as a process of its own, with data of its own.
type crashing struct {
	t       *testing.T
	program string
	dir     string
	addr    string
	env     []string
	process *exec.Cmd
	key     string
	log     *os.File
}

func newCrashing(t *testing.T) *crashing {
	t.Helper()
	s := &crashing{t: t, program: filepath.Join(t.TempDir(), "shuke"), dir: filepath.Join(t.TempDir(), "data")}
	out, err := exec.Command("go", "build", "-o", s.program, "../../cmd/shuke").CombinedOutput()
	require.NoError(t, err, "%s", out)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = free.Addr().String()
	require.NoError(t, free.Close())
	s.log, err = os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SHUKE_") {
			s.env = append(s.env, v)
		}
	}
	s.env = append(s.env, "SHUKE_DATA_DIR="+s.dir, "SHUKE_HTTP_ADDR="+s.addr, "SHUKE_ADMIN_PASSWORD=seven brass lanterns")
	t.Cleanup(func() {
		if s.process != nil {
			_ = s.process.Process.Kill()
			_ = s.process.Wait()
		}
		if t.Failed() {
			text, _ := os.ReadFile(s.log.Name())
			t.Logf("the service said:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return s
}

func (s *crashing) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	cmd.Env, cmd.Stderr = s.env, s.log
	return cmd
}

func (s *crashing) start() {
	s.t.Helper()
	s.process = s.command("serve")
	require.NoError(s.t, s.process.Start())
	s.waitReady()
}

func (s *crashing) waitReady() {
	s.t.Helper()
	probe := http.Client{Timeout: time.Second}
	require.Eventually(s.t, func() bool {
		res, err := probe.Get("http://" + s.addr + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond, "the service does not become ready")
}

// kill is kill -9: nothing of the process runs any more.
func (s *crashing) kill() {
	s.t.Helper()
	require.NoError(s.t, s.process.Process.Signal(syscall.SIGKILL))
	_ = s.process.Wait()
	s.process = nil
}

// killPostgres kills the postmaster; its other processes notice by themselves.
func (s *crashing) killPostgres() {
	s.t.Helper()
	servers, err := embedded.Attach(s.dir)
	require.NoError(s.t, err)
	root, err := sql.Open("postgres", servers.AdminURL)
	require.NoError(s.t, err)
	defer func() { _ = root.Close() }()
	var folder string
	require.NoError(s.t, root.QueryRow("SHOW data_directory").Scan(&folder))
	raw, err := os.ReadFile(filepath.Join(folder, "postmaster.pid"))
	require.NoError(s.t, err)
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(first)
	require.NoError(s.t, err)
	var before, after time.Time
	require.NoError(s.t, root.QueryRow("SELECT pg_postmaster_start_time()").Scan(&before))
	require.NoError(s.t, syscall.Kill(pid, syscall.SIGKILL))
	require.Eventually(s.t, func() bool {
		return root.QueryRow("SELECT pg_postmaster_start_time()").Scan(&after) == nil && after.After(before)
	}, 30*time.Second, 20*time.Millisecond, "PostgreSQL was not started again")
}

func (s *crashing) stop() {
	s.t.Helper()
	require.NoError(s.t, s.process.Process.Signal(syscall.SIGTERM))
	require.NoError(s.t, s.process.Wait(), "a clean stop")
	s.process = nil
}

// database reads as the service's role, past the service.
func (s *crashing) database() *sql.DB {
	s.t.Helper()
	servers, err := embedded.Attach(s.dir)
	require.NoError(s.t, err)
	d, err := sql.Open("postgres", servers.AppURL)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = d.Close() })
	return d
}

// requireVerified asks the service's own checks: the audit chain, and metrics
// against orders and returns.
func (s *crashing) requireVerified() {
	s.t.Helper()
	require.Eventually(s.t, func() bool { // young entries are still being sealed
		out, err := s.command("verify").Output()
		require.NoError(s.t, err, "%s", out)
		require.Contains(s.t, string(out), "everything holds")
		return strings.Contains(string(out), " 0 waiting to be sealed")
	}, 20*time.Second, 300*time.Millisecond)
}

// tillClient sends requests that follow from their number alone, so that the
// verifier needs no memory of what was sent.
type tillClient struct {
	t       *testing.T
	s       *crashing
	path    string // of the acknowledgements
	file    *os.File
	stores  []uuid.UUID
	people  []buyer
	next    atomic.Int64
	done    atomic.Int64
	ending  atomic.Bool
	working sync.WaitGroup
	mu      sync.Mutex
	http    *http.Client
}

// acknowledged is one line of the file.
type acknowledgement struct {
	Request int64           `json:"request"`
	Body    json.RawMessage `json:"body"`
}

const tillCustomers = 12

func newTillClient(t *testing.T, s *crashing) *tillClient {
	t.Helper()
	out, err := s.command("admin", "api-key", "--name", "crash").Output()
	require.NoError(t, err)
	s.key = strings.TrimSpace(string(out))
	c := &tillClient{t: t, s: s, path: filepath.Join(t.TempDir(), "acknowledged"), http: &http.Client{Timeout: 10 * time.Second}}
	c.file, err = os.Create(c.path)
	require.NoError(t, err)
	for n := range 2 {
		c.stores = append(c.stores, c.must("/v1/stores", map[string]any{"code": fmt.Sprint("S", n), "name": "店"}))
	}
	for n := range tillCustomers {
		b := buyer{external: fmt.Sprint("B-", n), phone: fmt.Sprintf("1350000%04d", n), card: fmt.Sprintf("CARD%04d", n)}
		b.id = c.must("/v1/customers", map[string]any{"external_id": b.external, "phone": b.phone, "card_number": b.card, "home_store_id": c.stores[n%2]})
		c.people = append(c.people, b)
	}
	return c
}

func (c *tillClient) must(path string, body any) uuid.UUID {
	c.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(c.t, err)
	status, answer, err := c.post(path, "", raw)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusCreated, status, "%s", answer)
	return uuid.MustParse(object(answer)["id"].(string))
}

// sent is how many requests there were.
func (c *tillClient) sent() int64 { return c.next.Load() }

func (c *tillClient) begin() {
	for range 3 {
		c.working.Go(func() {
			for !c.ending.Load() {
				n := c.next.Add(1) - 1
				path, key, body := c.request(n)
				status, answer, err := c.post(path, key, body)
				for unreached(err) { // nobody listens; nothing was sent
					time.Sleep(20 * time.Millisecond)
					status, answer, err = c.post(path, key, body)
				}
				if err != nil || status > 299 {
					time.Sleep(200 * time.Millisecond)
					continue
				}
				c.acknowledge(n, answer)
			}
		})
	}
}

// await lets the client get some more acknowledgements.
func (c *tillClient) await(more int64) {
	c.t.Helper()
	goal := c.done.Load() + more
	require.Eventually(c.t, func() bool { return c.done.Load() >= goal }, 30*time.Second, 5*time.Millisecond, "nothing is acknowledged any more")
}

func unreached(err error) bool {
	var failed *net.OpError
	return errors.As(err, &failed) && failed.Op == "dial"
}

func (c *tillClient) end() {
	c.ending.Store(true)
	c.working.Wait()
	require.NoError(c.t, c.file.Close())
}

func (c *tillClient) acknowledge(n int64, body []byte) {
	line, err := json.Marshal(acknowledgement{n, body})
	if err != nil {
		panic(err) // the service answered something that is no JSON
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.file.Write(append(line, '\n')); err != nil {
		panic(err)
	}
	c.done.Add(1)
}

func (c *tillClient) post(path, key string, body []byte) (int, []byte, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+c.s.addr+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.s.key)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// request is the n-th request: every fourth makes a customer, the others send
// tickets, half of them under a key and half relying on the tickets' numbers.
func (c *tillClient) request(n int64) (path, key string, body []byte) {
	var content any
	if isCustomer(n) {
		path, key = "/v1/customers", fmt.Sprint("crash-", n)
		content = map[string]any{"external_id": fmt.Sprint("C-", n), "name": "新客", "phone": fmt.Sprintf("1360%07d", n)}
	} else {
		path = "/v1/pos/orders"
		if n%2 == 0 {
			key = fmt.Sprint("crash-", n)
		}
		var list []map[string]any
		for _, t := range c.tickets(n) {
			list = append(list, t.body(c))
		}
		content = map[string]any{"create_missing_variants": true, "orders": list}
	}
	body, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	return path, key, body
}

func isCustomer(n int64) bool { return n%4 == 3 }

// sale is one ticket, with what it must add to its customer.
type sale struct {
	store, who int
	number     string
	at         time.Time
	isReturn   bool
	original   string
	lines      []saleLine
}

type saleLine struct{ article, quantity, price int64 }

func (s sale) total() (sum int64) {
	for _, l := range s.lines {
		sum += l.quantity * l.price
	}
	return sum
}

func (c *tillClient) tickets(n int64) []sale {
	dice := rand.New(rand.NewPCG(uint64(n), 1))
	first := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var out []sale
	for i := range 8 {
		s := sale{store: dice.IntN(2), who: dice.IntN(tillCustomers), number: fmt.Sprintf("T-%d-%d", n, i),
			at: first.Add(time.Duration(dice.IntN(30*24*60)) * time.Minute)}
		if s.isReturn = i%4 == 3; s.isReturn {
			s.store, s.who, s.original = out[i-1].store, out[i-1].who, out[i-1].number
		}
		for range 1 + dice.IntN(3) {
			s.lines = append(s.lines, saleLine{dice.Int64N(40), 1 + dice.Int64N(4), 100 * dice.Int64N(90)})
		}
		out = append(out, s)
	}
	return out
}

func (s sale) body(c *tillClient) map[string]any {
	person := c.people[s.who]
	name := []map[string]any{{"id": person.id}, {"external_id": person.external}, {"phone": person.phone}, {"card_number": person.card}}[s.at.Minute()%4]
	out := map[string]any{"store_id": c.stores[s.store], "external_number": s.number, "type": "sale", "placed_at": s.at.Format(time.RFC3339), "customer": name}
	if s.isReturn {
		out["type"], out["original_external_number"] = "return", s.original
	}
	var lines []map[string]any
	for _, l := range s.lines {
		lines = append(lines, map[string]any{"sku": fmt.Sprint("SKU-", l.article), "title": "书", "quantity": l.quantity, "unit_price_amount": l.price})
	}
	out["lines"] = lines
	return out
}

func readAcknowledged(t *testing.T, path string) map[int64]acknowledgement {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	out := map[int64]acknowledgement{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a acknowledgement
		require.NoError(t, json.Unmarshal(lines.Bytes(), &a))
		out[a.Request] = a
	}
	require.NoError(t, lines.Err())
	return out
}

type ticketResult struct {
	Status        string    `json:"status"`
	OrderID       uuid.UUID `json:"order_id"`
	OrderReturnID uuid.UUID `json:"order_return_id"`
}

func (a acknowledgement) results(t *testing.T) []ticketResult {
	t.Helper()
	var out struct{ Results []ticketResult }
	require.NoError(t, json.Unmarshal(a.Body, &out), "%s", a.Body)
	return out.Results
}

// requireAllThere compares the file with the database before anything is sent
// again: what the client was told is true.
func requireAllThere(t *testing.T, d *sql.DB, acknowledged map[int64]acknowledgement) {
	t.Helper()
	for n, a := range acknowledged {
		if isCustomer(n) {
			require.Equal(t, 1, number(t, d, "SELECT count(*) FROM customers WHERE id = $1 AND external_id = $2", object(a.Body)["id"], fmt.Sprint("C-", n)))
			continue
		}
		results := a.results(t)
		require.Len(t, results, 8)
		for i, r := range results {
			require.NotEqual(t, "error", r.Status, "%s", a.Body)
			require.Equal(t, 1, number(t, d, `SELECT (SELECT count(*) FROM orders WHERE id = $1 AND external_number = $3)
				+ (SELECT count(*) FROM order_returns WHERE id = $2 AND external_number = $3)`, r.OrderID, r.OrderReturnID, fmt.Sprintf("T-%d-%d", n, i)),
				"ticket %d of request %d was acknowledged", i, n)
		}
	}
}

// wholes are counts of rows that would only be there by half.
var wholes = map[string]string{
	"orders whose lines do not add up": `SELECT count(*) FROM orders o LEFT JOIN (SELECT order_id, count(*) n, sum(quantity) q, sum(total_amount) s FROM order_lines GROUP BY 1) l
		ON l.order_id = o.id WHERE (o.line_count, o.unit_count, o.total_amount) IS DISTINCT FROM (l.n, l.q, l.s)`,
	"returns whose lines do not add up": `SELECT count(*) FROM order_returns o LEFT JOIN (SELECT order_return_id, count(*) n, sum(quantity) q, sum(total_amount) s
		FROM order_return_lines GROUP BY 1) l ON l.order_return_id = o.id WHERE (o.line_count, o.unit_count, o.total_amount) IS DISTINCT FROM (l.n, l.q, l.s)`,
	"tickets without what they became": `SELECT count(*) FROM pos_tickets p WHERE NOT EXISTS (SELECT FROM orders o WHERE o.id = p.order_id)
		AND NOT EXISTS (SELECT FROM order_returns r WHERE r.id = p.order_return_id)`,
	"orders without a ticket":  `SELECT count(*) FROM orders o WHERE NOT EXISTS (SELECT FROM pos_tickets p WHERE p.order_id = o.id)`,
	"returns without a ticket": `SELECT count(*) FROM order_returns r WHERE NOT EXISTS (SELECT FROM pos_tickets p WHERE p.order_return_id = r.id)`,
	"orders without their event, or with two": `SELECT count(*) FROM orders o WHERE 1 <> (SELECT count(*) FROM outbox_events e
		WHERE e.type = 'order.completed' AND e.payload ->> 'order_id' = o.id::text)`,
	"customers without their event, or with two": `SELECT count(*) FROM customers c WHERE 1 <> (SELECT count(*) FROM outbox_events e
		WHERE e.type = 'customer.created' AND e.subject_id = c.id)`,
	"customers without their audit entry, or with two": `SELECT count(*) FROM customers c WHERE 1 <> (SELECT count(*) FROM audit_logs a
		WHERE a.action = 'customers.create' AND a.object_id = c.id::text)`,
	"variants without a product": `SELECT count(*) FROM products p WHERE NOT EXISTS (SELECT FROM variants v WHERE v.product_id = p.id)`,
	"days that are not the sum of orders and returns": `SELECT count(*) FROM customer_days d FULL JOIN (
		SELECT customer_id, business_day, sum(o) AS orders, sum(s) AS spent, sum(r) AS returns, sum(b) AS returned FROM (
			SELECT customer_id, business_day, 1 AS o, total_amount AS s, 0 AS r, 0 AS b FROM orders
			UNION ALL SELECT customer_id, business_day, 0, 0, 1, total_amount FROM order_returns) x GROUP BY 1, 2) t
		ON t.customer_id = d.customer_id AND t.business_day = d.day
		WHERE (d.order_count, d.spent_amount, d.return_count, d.returned_amount) IS DISTINCT FROM (t.orders, t.spent, t.returns, t.returned)`,
	"metrics that are not the sum of days": `SELECT count(*) FROM customer_metrics m FULL JOIN (SELECT customer_id, sum(order_count) o, sum(spent_amount) s,
		sum(return_count) r, sum(returned_amount) b FROM customer_days GROUP BY 1) d ON d.customer_id = m.id
		WHERE (m.order_count, m.spent_amount, m.return_count, m.returned_amount) IS DISTINCT FROM (d.o, d.s, d.r, d.b)`,
}

func requireWhole(t *testing.T, d *sql.DB) {
	t.Helper()
	for what, query := range wholes {
		require.Zero(t, number(t, d, query), what)
	}
}

// sendAllAgain sends every request there ever was, as a client does that lost
// its memory of the answers, and compares with those it had.
func (c *tillClient) sendAllAgain(before map[int64]acknowledgement) {
	c.t.Helper()
	for n := range c.sent() {
		path, key, body := c.request(n)
		status, answer, err := c.post(path, key, body)
		require.NoError(c.t, err)
		require.True(c.t, status == http.StatusOK || status == http.StatusCreated, "request %d: %d %s", n, status, answer)
		old, known := before[n]
		now := acknowledgement{n, answer}
		switch {
		case isCustomer(n) && known:
			require.Equal(c.t, object(old.Body)["id"], object(answer)["id"])
		case isCustomer(n):
		case known:
			for i, r := range now.results(c.t) {
				was := old.results(c.t)[i]
				require.Equal(c.t, [2]uuid.UUID{was.OrderID, was.OrderReturnID}, [2]uuid.UUID{r.OrderID, r.OrderReturnID})
				if key == "" {
					require.Equal(c.t, "duplicate", r.Status)
				}
			}
		default:
			for _, r := range now.results(c.t) {
				require.NotEqual(c.t, "error", r.Status, "request %d: %s", n, answer)
			}
		}
	}
}

// requireExactly compares the database with what the requests' numbers say.
func requireExactly(t *testing.T, d *sql.DB, c *tillClient) {
	t.Helper()
	type sums struct{ orders, spent, returns, returned int64 }
	people, days := map[string]sums{}, map[string]sums{}
	add := func(to map[string]sums, key string, s sale) {
		v := to[key]
		if s.isReturn {
			v.returns++
			v.returned += s.total()
		} else {
			v.orders++
			v.spent += s.total()
		}
		to[key] = v
	}
	var numbers []string
	newcomers := 0
	zone := time.FixedZone("UTC+8", 8*60*60)
	for n := range c.sent() {
		if isCustomer(n) {
			newcomers++
			continue
		}
		for _, s := range c.tickets(n) {
			numbers = append(numbers, s.number)
			add(people, c.people[s.who].id.String(), s)
			add(days, c.people[s.who].id.String()+" "+s.at.In(zone).Format(time.DateOnly), s)
		}
	}
	slices.Sort(numbers)
	require.Equal(t, numbers, list(t, d, `SELECT external_number FROM orders UNION ALL SELECT external_number FROM order_returns ORDER BY 1`))
	require.Equal(t, newcomers, number(t, d, "SELECT count(*) FROM customers WHERE external_id LIKE 'C-%'"))
	for table, want := range map[string]map[string]sums{
		"customer_metrics WHERE ($1)": people, "customer_days WHERE ($1)": days,
	} {
		key := map[bool]string{true: "id::text", false: "customer_id::text || ' ' || day::text"}[strings.HasPrefix(table, "customer_metrics")]
		rows, err := d.Query("SELECT "+key+", order_count, spent_amount, return_count, returned_amount FROM "+table, true)
		require.NoError(t, err)
		got := map[string]sums{}
		for rows.Next() {
			var k string
			var v sums
			require.NoError(t, rows.Scan(&k, &v.orders, &v.spent, &v.returns, &v.returned))
			got[k] = v
		}
		require.NoError(t, rows.Err())
		require.True(t, maps.Equal(want, got), "%s\nwant %v\ngot  %v", table, want, got)
	}
}

func number(t *testing.T, d *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, d.QueryRowContext(context.Background(), query, args...).Scan(&n), query)
	return n
}

func list(t *testing.T, d *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := d.Query(query)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s string
		require.NoError(t, rows.Scan(&s))
		out = append(out, s)
	}
	require.NoError(t, rows.Err())
	return out
}
