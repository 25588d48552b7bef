package points_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/points"
)

// TestMembersAreWarned lets time go by until points expire, with several workers
// giving warnings at once, and counts those.
func TestMembersAreWarned(t *testing.T) {
	p := newProgramme(t)
	s := &till{programme: p}
	s.unit(body{"expiry_method": "days", "expiry_count": 60, "pending_days": 0})
	m := p.member()
	p.give(m, 100)
	type warning struct {
		Points int64
		Days   int
	}
	warned := func() (out []warning) {
		t.Helper()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				_, err := p.Server.Points.WarnExpiring(t.Context())
				assert.NoError(t, err)
			})
		}
		all.Wait()
		rows, err := p.DB.Query(auth.System(t.Context(), "test"), "SELECT payload FROM outbox_events WHERE type = 'points.expiring' ORDER BY seq")
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var raw []byte
			var e points.Expiration
			require.NoError(t, rows.Scan(&raw))
			require.NoError(t, json.Unmarshal(raw, &e))
			require.Equal(t, m, e.CustomerID)
			out = append(out, warning{e.Points, e.Days})
		}
		require.NoError(t, rows.Err())
		return out
	}
	day := 24 * time.Hour
	require.Empty(t, warned())
	p.wait(32 * day)
	require.Equal(t, []warning{{100, 30}}, warned())
	require.Equal(t, []warning{{100, 30}}, warned())
	p.post(at(m)+"/redeem", body{"points": 40}).Want(201)
	p.give(m, 7) // another lot, whose first warning is in 31 days
	// Nobody looks for three and a half weeks: of what came due the nearest is given.
	p.wait(22*day + 12*time.Hour)
	require.Equal(t, []warning{{100, 30}, {60, 7}}, warned())
	p.wait(5*day + 6*time.Hour)
	require.Equal(t, []warning{{100, 30}, {60, 7}, {60, 1}}, warned())
	p.wait(3 * day)
	require.Equal(t, []warning{{100, 30}, {60, 7}, {60, 1}, {7, 30}}, warned())
	p.has(m, 7, 0, 0)
	p.post(at(m)+"/redeem", body{"points": 7}).Want(201)
	p.wait(30 * day)
	require.Len(t, warned(), 4) // nothing is left to expire
}
