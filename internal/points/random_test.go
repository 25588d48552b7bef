package points_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/points"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// The reference: what a member has, as one would write it down on paper, in days.
type paperLot struct {
	pending, active, blocked int64
	from, until              int // first day active, first day gone
	order                    int // in which it came
}

type paperHold struct {
	id       uuid.UUID
	parts    []paperPart
	captured bool
	ends     int // the day
}

type paperPart struct {
	lot               *paperLot
	blocked, captured int64
}

type paper struct {
	mu    sync.Mutex
	id    uuid.UUID
	lots  []*paperLot
	holds []*paperHold
}

const lasting = 40 // days that points last, after pendingDays

const pendingDays = 5

func (m *paper) settle(today int) {
	for _, l := range m.lots {
		if l.from <= today {
			l.active, l.pending = l.active+l.pending, 0
		}
		if l.until <= today {
			l.active = 0
		}
	}
}

func (m *paper) sums() (balance, pending, blocked int64) {
	for _, l := range m.lots {
		balance, pending, blocked = balance+l.active, pending+l.pending, blocked+l.blocked
	}
	return balance, pending, blocked
}

func (m *paper) take(n int64) (parts []paperPart, ok bool) {
	if balance, _, _ := m.sums(); balance < n {
		return nil, false
	}
	slices.SortStableFunc(m.lots, func(a, b *paperLot) int { return cmp.Or(a.until-b.until, a.order-b.order) })
	for _, l := range m.lots {
		if k := min(n, l.active); k > 0 {
			l.active -= k
			n -= k
			parts = append(parts, paperPart{lot: l, blocked: k})
		}
	}
	return parts, true
}

// TestRandomOperations runs operations drawn at random by many workers beside the
// reference: afterwards, and now and then meanwhile, both have the same. Members
// are locked here for an operation, so that the reference knows its order; what
// happens without that is TestManySpendOnePurse.
//
// SHUKE_POINTS_OPERATIONS says how many, SHUKE_POINTS_SEED which.
func TestRandomOperations(t *testing.T) {
	total, _ := strconv.Atoi(os.Getenv("SHUKE_POINTS_OPERATIONS"))
	if total == 0 {
		total = 2000
	}
	seed, err := strconv.ParseUint(os.Getenv("SHUKE_POINTS_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d operations", seed, total)
	app := testkit.New(t, testkit.At(start))
	p := &programme{App: app, t: t, admin: app.Admin()}
	p.unit(body{"pending_days": pendingDays, "expiry_method": "days", "expiry_count": lasting - 1, "transferable": true, "give_back_days": 0})
	ctx := auth.System(t.Context(), "random")
	s := app.Server.Points
	members := make([]*paper, 40)
	for i := range members {
		members[i] = &paper{id: p.member()}
	}
	var today int
	var came atomic.Int64
	rounds := 20
	for round := range rounds {
		var wg sync.WaitGroup
		failed := make(chan error, 64)
		for worker := range 64 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := rand.New(rand.NewPCG(seed, uint64(round*64+worker)))
				for range total / rounds / 64 {
					m, o := members[r.IntN(len(members))], members[r.IntN(len(members))]
					if err := operate(ctx, s, app.DB, r, m, o, today, &came); err != nil {
						failed <- fmt.Errorf("round %d, worker %d: %w", round, worker, err)
						return
					}
				}
			}()
		}
		wg.Wait()
		close(failed)
		for err := range failed {
			require.NoError(t, err)
		}
		for _, m := range members {
			m.settle(today)
			b, err := s.Of(ctx, m.id, "")
			require.NoError(t, err)
			balance, pending, blocked := m.sums()
			require.Equal(t, []int64{balance, pending, blocked}, []int64{b.Balance, b.Pending, b.Blocked}, "seed %d, round %d", seed, round)
		}
		days := rand.New(rand.NewPCG(seed, uint64(round))).IntN(12)
		today += days
		app.Advance(time.Duration(days) * 24 * time.Hour)
	}
	_, err = s.SettleDue(ctx)
	require.NoError(t, err)
	v, err := s.Verify(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, v.Differences)
	// The same lots, too.
	for _, m := range members {
		m.settle(today)
		want := map[string]int{}
		for _, l := range m.lots {
			if l.pending+l.active+l.blocked > 0 {
				want[fmt.Sprint(l.pending, l.active, l.blocked, l.until)]++
			}
		}
		got := map[string]int{}
		for asked := (points.Asked{Limit: ptr(int32(200))}); ; {
			lots, err := s.Lots(ctx, m.id, "", true, asked)
			require.NoError(t, err)
			for _, l := range lots.Items {
				got[fmt.Sprint(l.Pending, l.Active, l.Blocked, int(app.Clock.DayOf(*l.ExpiresAt)-app.Clock.DayOf(start)))]++
			}
			if asked.Cursor = lots.Next; asked.Cursor == nil {
				break
			}
		}
		require.True(t, maps.Equal(want, got), "seed %d: want %v, got %v", seed, want, got)
	}
	t.Logf("%d lots, %d entries, %d postings", v.Lots, v.Entries, v.Postings)
}

func ptr[T any](v T) *T { return &v }

func operate(ctx context.Context, s *points.Service, d *db.DB, r *rand.Rand, m, o *paper, today int, came *atomic.Int64) error {
	first, second := m, o
	if first.id.String() > second.id.String() {
		first, second = second, first
	}
	first.mu.Lock()
	defer first.mu.Unlock()
	if second != first {
		second.mu.Lock()
		defer second.mu.Unlock()
	}
	m.settle(today)
	o.settle(today)
	n := int64(1 + r.IntN(60))
	add := func(to *paper, l paperLot) {
		l.order = int(came.Add(1))
		to.lots = append(to.lots, &l)
	}
	same := func(err error, ok bool) error {
		if ok == (err == nil) && (ok || points.ErrInsufficient.Is(err)) {
			return nil
		}
		return fmt.Errorf("allowed %t: %w", ok, err)
	}
	switch k := r.IntN(12); k {
	case 0, 1, 2: // earned, perhaps late
		late := r.IntN(8)
		add(m, paperLot{pending: n, from: today - late + pendingDays, until: today - late + pendingDays + lasting})
		return d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := s.Give(ctx, tx, points.Grant{CustomerID: m.id, Points: n, EarnedAt: start.AddDate(0, 0, today-late)})
			return err
		})
	case 3:
		_, err := s.Adjust(ctx, m.id, "", n, "补偿")
		add(m, paperLot{active: n, from: today, until: today + lasting})
		return err
	case 4:
		_, ok := m.take(n)
		_, err := s.Adjust(ctx, m.id, "", -n, "误发")
		return same(err, ok)
	case 5, 6:
		parts, ok := m.take(n)
		h, err := s.Redeem(ctx, points.Spending{CustomerID: m.id, Points: n})
		if ok && err == nil {
			for i := range parts {
				parts[i].captured, parts[i].blocked = parts[i].blocked, 0
			}
			m.holds = append(m.holds, &paperHold{h.ID, parts, true, 0})
		}
		return same(err, ok)
	case 7, 8:
		parts, ok := m.take(n)
		ends := start.AddDate(0, 0, today+80)
		h, err := s.Block(ctx, points.Spending{CustomerID: m.id, Points: n, Ends: &ends})
		if ok && err == nil {
			for _, part := range parts {
				part.lot.blocked += part.blocked
			}
			m.holds = append(m.holds, &paperHold{h.ID, parts, false, today + 80})
		}
		return same(err, ok)
	case 9:
		if m == o {
			return nil
		}
		parts, ok := m.take(n)
		_, err := s.Transfer(ctx, m.id, o.id, "", n, "")
		for _, part := range parts {
			add(o, paperLot{active: part.blocked, from: today, until: part.lot.until})
		}
		return same(err, ok)
	default:
		if len(m.holds) == 0 {
			return nil
		}
		h := m.holds[r.IntN(len(m.holds))]
		var held, spent int64
		for _, part := range h.parts {
			held, spent = held+part.blocked, spent+part.captured
		}
		if !h.captured && k == 10 {
			for i := range h.parts {
				part := &h.parts[i]
				part.lot.blocked -= part.blocked
				part.lot.active += part.blocked
			}
			m.holds = slices.DeleteFunc(m.holds, func(x *paperHold) bool { return x == h })
			_, err := s.Release(ctx, h.id)
			return err
		}
		if !h.captured {
			capture := 1 + r.Int64N(held)
			if today >= h.ends {
				_, err := s.Capture(ctx, h.id, &capture)
				if !points.ErrHoldState.Is(err) {
					return fmt.Errorf("captured after its end: %w", err)
				}
				return nil
			}
			rest := capture
			for i := range h.parts {
				part := &h.parts[i]
				part.captured = min(rest, part.blocked)
				rest -= part.captured
				part.lot.blocked -= part.blocked
				part.lot.active += part.blocked - part.captured
				part.blocked = 0
			}
			h.captured = true
			_, err := s.Capture(ctx, h.id, &capture)
			return err
		}
		if spent == 0 {
			_, err := s.GiveBack(ctx, h.id, nil, "")
			if !points.ErrTooMuch.Is(err) {
				return fmt.Errorf("given back twice: %w", err)
			}
			return nil
		}
		back := 1 + r.Int64N(spent)
		rest := back
		for i := len(h.parts) - 1; i >= 0; i-- {
			part := &h.parts[i]
			k := min(rest, part.captured)
			part.captured -= k
			part.lot.active += k
			rest -= k
		}
		_, err := s.GiveBack(ctx, h.id, &back, "")
		return err
	}
}
