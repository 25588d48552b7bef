package orders_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// sse is one event of a stream.
type sse struct{ id, kind, data string }

// follow opens a stream and returns a reader of its next event.
func follow(t *testing.T, app *testkit.App, token, path, last string) (next func() sse, hangUp func()) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, app.URL+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := app.HTTP.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	lines := bufio.NewScanner(res.Body)
	require.True(t, lines.Scan())
	require.Equal(t, ": open", lines.Text())
	next = func() (e sse) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "id":
				e.id = value
			case name == "event":
				e.kind = value
			case name == "data":
				e.data = value
			case lines.Text() == "" && e.kind != "":
				return e
			}
		}
		require.NoError(t, lines.Err())
		t.Fatal("the stream ended")
		return e
	}
	return next, func() { cancel(); _ = res.Body.Close() }
}

func TestAStreamGoesOnWhereItWasLeft(t *testing.T) {
	c := newCounterOn(t, testkit.New(t, testkit.WithWorker()))
	other := c.order(c.place(nil, article("A", 1)).Want(201))
	o := c.order(c.place(map[string]any{"fulfilment": "pickup"}, article("A", 2)).Want(201))
	path := "/v1/orders/" + o.Id.String() + "/events"
	next, hangUp := follow(t, c.app, c.admin.Token, path, "")
	c.step(other.Id, "cancel", map[string]any{"reason": "不要了"}).Want(200)
	c.step(o.Id, "payments", cash(2000)).Want(201)
	var paid sse
	for paid = next(); paid.kind != "order.paid"; paid = next() {
		require.Equal(t, "order.placed", paid.kind, "delivered a moment late")
	}
	require.Contains(t, paid.data, o.Id.String())
	hangUp()

	c.step(o.Id, "ready", nil).Want(200)
	c.step(o.Id, "complete", nil).Want(200)
	var delivered int
	require.Eventually(t, func() bool {
		require.NoError(t, c.app.DB.QueryRow(t.Context(), "SELECT count(*) FROM outbox_events WHERE subject_id = $1 AND dispatched_at IS NOT NULL", o.Id).Scan(&delivered))
		return delivered == 4
	}, 10*time.Second, 20*time.Millisecond)
	next, hangUp = follow(t, c.app, c.admin.Token, path, paid.id)
	var kinds []string
	for len(kinds) < 2 {
		if e := next(); e.kind != "order.placed" { // from a moment before: may come again
			require.Contains(t, e.data, o.Id.String())
			kinds = append(kinds, e.kind)
		}
	}
	require.Equal(t, []string{"order.ready", "order.completed"}, kinds)
	hangUp()

	// The same of the whole store; what is unknown is a gap, not silence.
	next, hangUp = follow(t, c.app, c.admin.Token, "/v1/stores/"+c.store.String()+"/order-events", paid.id)
	for e := next(); e.kind != "order.completed"; e = next() {
		require.NotEqual(t, "gap", e.kind)
	}
	hangUp()
	next, hangUp = follow(t, c.app, c.admin.Token, path, uuid.NewString())
	require.Equal(t, "gap", next().kind)
	hangUp()
}
