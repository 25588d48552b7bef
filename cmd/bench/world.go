package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/embedded"
	"github.com/shuke-crm/shuke/internal/platform/pii/fakepeople"
)

const (
	storeCount         = 20
	assistantsPerStore = 5
	seed               = 42
	password           = "a long password for the bench"
)

// world is a service with its servers, customers and staff.
type world struct {
	o       options
	dir     string
	binary  string
	servers *embedded.Servers
	service *exec.Cmd
	bare    *exec.Cmd
	addr    string // of the service
	bareAdr string // of the reference handlers
	redis   *redis.Client
	people  *fakepeople.Generator

	key                       string // API key of an administrator
	admin, manager, assistant string // access tokens
	stores, assistants        []string
	customers                 []string // ids of a sample, in no order
}

func newWorld(ctx context.Context, o options) (*world, error) {
	w := &world{o: o, dir: o.dir, people: fakepeople.New(seed)}
	if w.dir == "" {
		dir, err := os.MkdirTemp("", "shuke-bench-")
		if err != nil {
			return nil, err
		}
		w.dir = dir
	} else if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return nil, err
	}
	// The private servers run as another user when we are root.
	if err := os.Chmod(w.dir, 0o755); err != nil {
		return nil, err
	}
	w.binary = filepath.Join(w.dir, "shuke")
	build := exec.CommandContext(ctx, "go", "build", "-o", w.binary, "./cmd/shuke")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build the service: %w", err)
	}
	return w, nil
}

// startUp measures the service as a newcomer starts it: with private servers,
// first in an empty folder, then again.
func (w *world) startUp(ctx context.Context) error {
	heading("Start-up and memory, with private PostgreSQL and Redis")
	data := filepath.Join(w.dir, "start")
	for _, label := range []string{"first start to ready", "second start to ready"} {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		began := time.Now()
		cmd := w.command(addr, "SHUKE_DATA_DIR="+data)
		if err := cmd.Start(); err != nil {
			return err
		}
		if err := ready(ctx, "http://"+addr+"/readyz"); err != nil {
			return errors.Join(err, stop(cmd))
		}
		fmt.Printf("  %-52s %8.2f s\n", label, time.Since(began).Seconds())
		if strings.HasPrefix(label, "second") {
			time.Sleep(5 * time.Second)
			mb, err := resident(cmd.Process.Pid)
			if err != nil {
				return err
			}
			fmt.Printf("  %-52s %8.0f MB\n", "idle memory of the service", mb)
		}
		if err := stop(cmd); err != nil {
			return err
		}
	}
	return os.RemoveAll(data)
}

// begin starts everything and loads customers and staff.
func (w *world) begin(ctx context.Context) error {
	var err error
	if w.servers, err = embedded.Start(ctx, embedded.Options{DataDir: filepath.Join(w.dir, "servers"), Postgres: true, Redis: true}); err != nil {
		return err
	}
	if w.addr, err = freeAddr(); err != nil {
		return err
	}
	w.service = w.command(w.addr, w.serverEnv()...)
	if err := w.service.Start(); err != nil {
		return err
	}
	if err := ready(ctx, "http://"+w.addr+"/readyz"); err != nil {
		return err
	}
	if w.bareAdr, err = freeAddr(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w.bare = exec.Command(self, "reference", "-addr", w.bareAdr, "-database", w.servers.AppURL, "-redis", w.servers.RedisURL)
	w.bare.Stderr = os.Stderr
	if err := w.bare.Start(); err != nil {
		return err
	}
	if err := ready(ctx, "http://"+w.bareAdr+"/none"); err != nil {
		return err
	}
	opts, err := cache.Options(w.servers.RedisURL)
	if err != nil {
		return err
	}
	w.redis = redis.NewClient(opts)
	admin := exec.CommandContext(ctx, w.binary, "admin", "api-key", "--name", "bench")
	admin.Env = append(os.Environ(), append(w.serverEnv(), "SHUKE_DATA_DIR="+filepath.Join(w.dir, "service"))...)
	admin.Stderr = os.Stderr
	out, err := admin.Output()
	if err != nil {
		return fmt.Errorf("admin api-key: %w", err)
	}
	fields := strings.Fields(string(out))
	w.key = fields[len(fields)-1]
	if err := w.staff(ctx); err != nil {
		return fmt.Errorf("staff: %w", err)
	}
	if err := w.load(ctx); err != nil {
		return fmt.Errorf("customers: %w", err)
	}
	return w.signIn(ctx)
}

func (w *world) serverEnv() []string {
	return []string{"SHUKE_DATABASE_URL=" + w.servers.AppURL, "SHUKE_DATABASE_OWNER_URL=" + w.servers.OwnerURL, "SHUKE_REDIS_URL=" + w.servers.RedisURL,
		"SHUKE_DATA_DIR=" + filepath.Join(w.dir, "service"),
		// Limits are on and counted; nobody reaches them.
		"SHUKE_RATE_LIMITS=staff.read=10000000,staff.write=10000000,key.read=10000000,key.write=10000000,address.read=10000000,address.write=10000000"}
}

// command is a service as it runs in a shop: the log is written, to a file.
func (w *world) command(addr string, env ...string) *exec.Cmd {
	cmd := exec.Command(w.binary, "serve")
	cmd.Env = append(os.Environ(), append([]string{"SHUKE_HTTP_ADDR=" + addr, "SHUKE_ADMIN_PASSWORD=" + password}, env...)...)
	log, err := os.OpenFile(filepath.Join(w.dir, "service.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		cmd.Stdout, cmd.Stderr = log, log
	}
	return cmd
}

func (w *world) close() {
	if w.redis != nil {
		w.redis.Close()
	}
	for _, cmd := range []*exec.Cmd{w.bare, w.service} {
		if cmd != nil && cmd.Process != nil {
			_ = stop(cmd)
		}
	}
	if w.servers != nil {
		w.servers.Stop()
	}
	if w.o.dir == "" {
		os.RemoveAll(w.dir)
	}
}

// staff makes stores, a manager and assistants, or finds them from a run before.
func (w *world) staff(ctx context.Context) error {
	for i := range storeCount {
		id, err := w.ensure(ctx, "/v1/stores", fmt.Sprintf("BENCH-%02d", i), map[string]any{"name": fmt.Sprintf("店 %d", i)})
		if err != nil {
			return err
		}
		w.stores = append(w.stores, id)
	}
	if _, err := w.ensureStaff(ctx, "bench-manager", w.stores[0], "store_manager", "store"); err != nil {
		return err
	}
	for i := range storeCount * assistantsPerStore {
		id, err := w.ensureStaff(ctx, fmt.Sprintf("bench-assistant-%d", i), w.stores[i%storeCount], "assistant", "own")
		if err != nil {
			return err
		}
		w.assistants = append(w.assistants, id)
	}
	return nil
}

func (w *world) ensureStaff(ctx context.Context, name, store, role, scope string) (string, error) {
	grant := map[string]any{"role": role, "scope": scope}
	if scope == "store" {
		grant["store_id"] = store
	}
	return w.ensure(ctx, "/v1/staff", name, map[string]any{"username": name, "name": name, "store_id": store, "password": password,
		"must_change_password": false, "grants": []any{grant}})
}

func (w *world) ensure(ctx context.Context, path, code string, body map[string]any) (string, error) {
	if path == "/v1/stores" {
		body["code"] = code
	}
	var made struct {
		ID    string `json:"id"`
		Staff *struct {
			ID string `json:"id"`
		} `json:"staff"`
	}
	status, err := w.call(ctx, "POST", path, w.key, body, &made)
	if err != nil {
		return "", err
	}
	if status == http.StatusConflict {
		for page := path + "?limit=200"; ; {
			var found struct {
				Items []struct {
					ID       string `json:"id"`
					Code     string `json:"code"`
					Username string `json:"username"`
				} `json:"items"`
				NextCursor string `json:"next_cursor"`
			}
			if _, err := w.call(ctx, "GET", page, w.key, nil, &found); err != nil {
				return "", err
			}
			for _, f := range found.Items {
				if f.Code == code || f.Username == code {
					return f.ID, nil
				}
			}
			if found.NextCursor == "" {
				return "", fmt.Errorf("%s %s is taken and not listed", path, code)
			}
			page = path + "?limit=200&cursor=" + found.NextCursor
		}
	}
	if status != http.StatusCreated {
		return "", fmt.Errorf("POST %s: status %d", path, status)
	}
	if made.Staff != nil {
		return made.Staff.ID, nil
	}
	return made.ID, nil
}

// person is the i-th customer as the bulk operation takes it.
func (w *world) person(p fakepeople.Person) map[string]any {
	i := p.Index
	item := map[string]any{
		"external_id": "B-" + strconv.Itoa(i), "name": p.Name, "gender": string(p.Gender), "birth_date": p.BirthDate.Format(time.DateOnly), "phone": p.Phone,
		"home_store_id": w.stores[i%storeCount], "assigned_staff_id": w.assistants[i%len(w.assistants)],
		"address": map[string]any{"country": "CN", "region": p.Address.Region, "city": p.Address.City, "district": p.Address.District, "line1": p.Address.Line1},
	}
	if p.Email != "" {
		item["email"] = p.Email
	}
	return item
}

// load brings the customers in through the bulk operation.
func (w *world) load(ctx context.Context) error {
	began := time.Now()
	var mu sync.Mutex
	created, loaded := 0, 0
	total, every := w.o.customers, 10 // one customer in ten is read one by one later
	var last struct{ Items []any }
	if _, err := w.call(ctx, "GET", "/v1/customers?external_id=B-"+strconv.Itoa(total-1), w.key, nil, &last); err != nil {
		return err
	}
	if len(last.Items) > 0 { // in a kept folder: only their ids are wanted
		total, every = min(total, 20_000), 1
	}
	g, loading := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for from := 0; from < total; from += 1000 {
		items := make([]any, 0, 1000)
		for i := from; i < min(from+1000, total); i++ {
			items = append(items, w.person(w.people.At(i)))
		}
		g.Go(func() error {
			var answer struct {
				Results []struct {
					Status     string `json:"status"`
					CustomerID string `json:"customer_id"`
					Error      *struct{ Code, Detail string }
				} `json:"results"`
			}
			status, err := w.call(loading, "POST", "/v1/customers/bulk", w.key, map[string]any{"mode": "upsert", "items": items}, &answer)
			if err != nil || status != http.StatusOK {
				return errors.Join(err, fmt.Errorf("bulk: status %d", status))
			}
			mu.Lock()
			defer mu.Unlock()
			for k, r := range answer.Results {
				if r.Error != nil {
					return fmt.Errorf("item %d: %s %s", from+k, r.Error.Code, r.Error.Detail)
				}
				if r.Status == "created" {
					created++
				}
				if k%every == 0 && len(w.customers) < 20_000 {
					w.customers = append(w.customers, r.CustomerID)
				}
			}
			if loaded += len(answer.Results); loaded*10/total != (loaded-len(answer.Results))*10/total {
				fmt.Fprintf(os.Stderr, "  customers loaded: %d of %d\n", loaded, total)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	d := time.Since(began).Seconds()
	heading("Loading")
	fmt.Printf("  %-52s %9.0f/s   (%d created)\n", "POST /v1/customers/bulk, 1,000 a request", float64(total)/d, created)
	return nil
}

// settle waits until what earlier steps left to do in the background (events,
// audit seals, jobs) is done, and does what autovacuum would
// do within minutes, so that a measure is of itself alone.
func (w *world) settle(ctx context.Context) error {
	const idle = `SELECT NOT EXISTS (SELECT FROM outbox_events WHERE dispatched_at IS NULL)
		AND (SELECT id FROM audit_logs ORDER BY id DESC LIMIT 1) IS NOT DISTINCT FROM (SELECT audit_id FROM audit_seals ORDER BY seq DESC LIMIT 1)
		AND NOT EXISTS (SELECT FROM river_job WHERE state IN ('available', 'running'))`
	began := time.Now()
	for {
		cmd := exec.CommandContext(ctx, "psql", "-qXAt", w.servers.OwnerURL, "-c", idle)
		cmd.Stderr = os.Stderr
		answer, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("psql: %w", err)
		}
		if strings.TrimSpace(string(answer)) == "t" {
			break
		}
		if time.Since(began) > 10*time.Minute {
			return errors.New("work in the background did not end within ten minutes")
		}
		time.Sleep(200 * time.Millisecond)
	}
	return w.psql(ctx, "VACUUM ANALYZE customers, customer_metrics, orders, order_lines, audit_logs, audit_seals, outbox_events, idempotency_keys")
}

func (w *world) psql(ctx context.Context, statement string) error {
	cmd := exec.CommandContext(ctx, "psql", "-qX", w.servers.OwnerURL, "-c", statement)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

func (w *world) signIn(ctx context.Context) error {
	for name, token := range map[string]*string{"admin": &w.admin, "bench-manager": &w.manager, "bench-assistant-0": &w.assistant} {
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		status, err := w.call(ctx, "POST", "/v1/auth/login", "", map[string]any{"username": name, "password": password}, &answer)
		if err != nil || status != http.StatusOK {
			return errors.Join(err, fmt.Errorf("sign in %s: status %d", name, status))
		}
		*token = answer.AccessToken
	}
	return nil
}

func (w *world) call(ctx context.Context, method, path, token string, in, out any) (int, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	if in == nil {
		body = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.addr+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if res.StatusCode >= 300 {
		if res.StatusCode != http.StatusConflict {
			return res.StatusCode, fmt.Errorf("%s %s: %s", method, path, answer)
		}
		return res.StatusCode, nil
	}
	if out == nil {
		return res.StatusCode, nil
	}
	return res.StatusCode, json.Unmarshal(answer, out)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// ready waits until url answers at all and is not unavailable.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode < 500 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not become ready", url)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func stop(cmd *exec.Cmd) error {
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil // the reference dies of the signal
		}
		return err
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("did not stop within 30 s of SIGTERM"), cmd.Process.Kill())
	}
}

// resident is the memory of a process in MB.
func resident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("no VmRSS in the process status")
}
