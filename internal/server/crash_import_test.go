package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCrashInTheMiddleOfAnImport kills the service while a file is being taken
// over, and again after its restart. The file goes on where it was: every row is
// there once, also those that no identifier would keep from being doubled.
func TestCrashInTheMiddleOfAnImport(t *testing.T) {
	t.Parallel() // much of it is waiting for processes to end and to begin
	const rows = 12_000
	s := newCrashing(t)
	s.start()
	out, err := s.command("admin", "api-key", "--name", "crash").Output()
	require.NoError(t, err)
	s.key = strings.TrimSpace(string(out))

	var file strings.Builder
	file.WriteString("外部编号,姓名,手机\r\n")
	nameless := 0
	for n := range rows {
		switch n % 4 {
		case 0: // known by nothing but the name
			fmt.Fprintf(&file, ",客人%d,\r\n", n)
			nameless++
		case 1: // refused
			fmt.Fprintf(&file, "X-%d,坏%d,12\r\n", n, n)
		default:
			fmt.Fprintf(&file, "I-%d,来客%d,137%08d\r\n", n, n, n)
		}
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(t, form.WriteField("kind", "customers"))
	part, err := form.CreateFormFile("file", "客户.csv")
	require.NoError(t, err)
	_, err = part.Write([]byte(file.String()))
	require.NoError(t, err)
	require.NoError(t, form.Close())
	call := func(method, path string, content []byte, kind string) (int, map[string]any) {
		req, err := http.NewRequest(method, "http://"+s.addr+path, bytes.NewReader(content))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+s.key)
		req.Header.Set("Content-Type", kind)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		var out map[string]any
		require.NoError(t, json.NewDecoder(res.Body).Decode(&out))
		return res.StatusCode, out
	}
	status, started := call(http.MethodPost, "/v1/imports", body.Bytes(), form.FormDataContentType())
	require.Equal(t, http.StatusAccepted, status, started)
	path := "/v1/imports/" + started["import"].(map[string]any)["id"].(string)
	// taken waits until more rows are taken over than before.
	taken := func(before float64) (created float64) {
		require.Eventually(t, func() bool {
			_, view := call(http.MethodGet, path, nil, "application/json")
			require.NotEqual(t, "failed", view["status"], view)
			created = view["counts"].(map[string]any)["created"].(float64)
			return created > before
		}, 60*time.Second, 10*time.Millisecond, "the import does not go on")
		return created
	}
	first := taken(0)
	s.kill()
	s.start()
	second := taken(first)
	s.kill()
	s.start()
	t.Logf("killed after %.0f and %.0f of %d customers", first, second, rows*3/4)
	require.Less(t, first, float64(rows*3/4), "the file was through before the kill")
	var view map[string]any
	require.Eventually(t, func() bool {
		_, view = call(http.MethodGet, path, nil, "application/json")
		return view["status"] != "running"
	}, 90*time.Second, 100*time.Millisecond, "the import does not end")
	require.Equal(t, "succeeded", view["status"])
	require.Equal(t, map[string]any{"records": 0.0, "created": float64(rows * 3 / 4), "updated": 0.0, "skipped": 0.0, "failed": float64(rows / 4), "held": 0.0, "likely": 0.0}, view["counts"])

	d := s.database()
	require.Equal(t, rows*3/4, number(t, d, "SELECT count(*) FROM customers"))
	require.Equal(t, rows/2, number(t, d, "SELECT count(DISTINCT external_id) FROM customers WHERE external_id LIKE 'I-%'"))
	require.Equal(t, nameless, number(t, d, "SELECT count(*) FROM customers WHERE external_id IS NULL"))
	require.Equal(t, rows/4, number(t, d, "SELECT count(*) FROM import_errors"))
	require.Equal(t, rows*3/4, number(t, d, "SELECT count(*) FROM audit_logs WHERE action = 'customers.create' AND changes->>'import_id' = $1", strings.TrimPrefix(path, "/v1/imports/")))
	requireWhole(t, d)
	s.stop()
}
