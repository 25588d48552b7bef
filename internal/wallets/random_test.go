package wallets_test

import (
	"cmp"
	"context"
	"fmt"
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

	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/ent/loyalty/walletadjustment"
	"github.com/shuke-crm/shuke/ent/loyalty/walletprogramme"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
	"github.com/shuke-crm/shuke/internal/wallets"
)

// The reference: what a member has, as one would write it down on paper, in days.
type paperLot struct {
	bonus              bool
	available, blocked int64
	until              int // the first day gone; 0: for ever
	order              int // in which it came
}

type paperPart struct {
	lot      *paperLot
	amount   int64
	captured int64 // of it spent and not come back
}

type paperPayment struct {
	id      uuid.UUID
	parts   []paperPart
	blocked bool
}

type paperTopUp struct {
	id                      uuid.UUID
	paid, given             *paperLot
	amount, bonus, refunded int64
}

type paper struct {
	mu       sync.Mutex
	id       uuid.UUID
	lots     []*paperLot
	payments []*paperPayment
	topUps   []*paperTopUp
}

const (
	bonusDays    = 30
	givenBack    = 5 // days that an expired bonus lasts which comes back
	bonusPercent = 10
)

func (m *paper) settle(today int) {
	for _, l := range m.lots {
		if l.until > 0 && l.until <= today {
			l.available = 0
		}
	}
}

func (m *paper) sums() (principal, bonus, blocked int64) {
	for _, l := range m.lots {
		if l.bonus {
			bonus += l.available
		} else {
			principal += l.available
		}
		blocked += l.blocked
	}
	return principal, bonus, blocked
}

// take takes principal first, then bonus, of each first what expires first.
func (m *paper) take(n int64, principalOnly bool) (parts []paperPart, ok bool) {
	principal, bonus, _ := m.sums()
	if principalOnly {
		bonus = 0
	}
	if principal+bonus < n {
		return nil, false
	}
	slices.SortStableFunc(m.lots, func(a, b *paperLot) int {
		side := func(l *paperLot) int {
			if l.bonus {
				return 1
			}
			return 0
		}
		return cmp.Or(side(a)-side(b), a.until-b.until, a.order-b.order)
	})
	for _, l := range m.lots {
		if k := min(n, l.available); k > 0 {
			l.available -= k
			n -= k
			parts = append(parts, paperPart{lot: l, amount: k})
		}
	}
	return parts, true
}

// TestRandomOperations runs operations drawn at random by many workers beside the
// reference: now and then, and afterwards, both have the same, lot by lot. Members
// are locked here for an operation, so that the reference knows its order; what
// happens without that is "many spend one".
//
// SHUKE_WALLET_OPERATIONS says how many, SHUKE_WALLET_SEED which.
func TestRandomOperations(t *testing.T) {
	total, _ := strconv.Atoi(os.Getenv("SHUKE_WALLET_OPERATIONS"))
	if total == 0 {
		total = 1500
	}
	seed, err := strconv.ParseUint(os.Getenv("SHUKE_WALLET_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d operations", seed, total)
	app := testkit.New(t, testkit.At(start))
	p := &shop{App: app, t: t, admin: app.Admin()}
	ctx := auth.System(t.Context(), "random")
	s := app.Server.Wallets
	_, err = s.SetProgramme(ctx, nil, wallets.Programme{SpendOrder: walletprogramme.SpendOrderPrincipalFirst, TopUpRules: []schema.TopUpRule{}, TopUpMinimum: 1, BonusDays: bonusDays - 1,
		GiveBackDays: givenBack - 1, Transferable: true})
	require.NoError(t, err)
	members := make([]*paper, 30)
	for i := range members {
		members[i] = &paper{id: p.member()}
	}
	var today int
	var came atomic.Int64
	rounds := 15
	for round := range rounds {
		var wg sync.WaitGroup
		failed := make(chan error, 64)
		for worker := range 64 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				r := rand.New(rand.NewPCG(seed, uint64(round*64+worker)))
				for range total/rounds/64 + 1 {
					m, o := members[r.IntN(len(members))], members[r.IntN(len(members))]
					if err := operate(ctx, s, r, m, o, today, &came); err != nil {
						failed <- fmt.Errorf("round %d, worker %d: %w", round, worker, err)
						return
					}
				}
			}()
		}
		wg.Wait()
		close(failed)
		for err := range failed {
			require.NoError(t, err, "seed %d", seed)
		}
		for _, m := range members {
			m.settle(today)
			w, err := s.Of(ctx, m.id)
			require.NoError(t, err)
			principal, bonus, blocked := m.sums()
			require.Equal(t, []int64{principal, bonus, blocked}, []int64{w.Principal, w.Bonus, w.Blocked}, "seed %d, round %d", seed, round)
			until := map[int]int64{}
			for _, l := range m.lots {
				if l.bonus && l.available > 0 {
					until[l.until] += l.available
				}
			}
			got := map[int]int64{}
			for _, e := range w.Expiring {
				got[int(app.Clock.DayOf(e.At)-app.Clock.DayOf(start))] = e.Amount
			}
			require.Equal(t, until, got, "seed %d, round %d", seed, round)
		}
		days := rand.New(rand.NewPCG(seed, uint64(round))).IntN(9)
		today += days
		app.Advance(time.Duration(days) * 24 * time.Hour)
	}
	_, err = s.SettleDue(ctx)
	require.NoError(t, err)
	v, err := s.Verify(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, v.Differences)
	t.Logf("%d lots, %d entries, %d postings", v.Lots, v.Entries, v.Postings)
}

func operate(ctx context.Context, s *wallets.Service, r *rand.Rand, m, o *paper, today int, came *atomic.Int64) error {
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
	n := int64(1 + r.IntN(6000))
	add := func(to *paper, l paperLot) *paperLot {
		l.order = int(came.Add(1))
		to.lots = append(to.lots, &l)
		return &l
	}
	same := func(err error, ok bool) error {
		if ok == (err == nil) && (ok || wallets.ErrInsufficient.Is(err)) {
			return nil
		}
		return fmt.Errorf("allowed %t: %w", ok, err)
	}
	switch k := r.IntN(12); k {
	case 0, 1, 2:
		bonus := n * bonusPercent / 100
		t, err := s.TopUp(ctx, wallets.PaidIn{CustomerID: m.id, Amount: n, Bonus: &bonus, Method: "cash"})
		if err != nil {
			return err
		}
		up := &paperTopUp{id: t.ID, amount: n, bonus: bonus, paid: add(m, paperLot{available: n})}
		if bonus > 0 {
			up.given = add(m, paperLot{bonus: true, available: bonus, until: today + bonusDays})
		}
		m.topUps = append(m.topUps, up)
		return nil
	case 3:
		_, err := s.Adjust(ctx, m.id, walletadjustment.PartBonus, n, "补偿")
		add(m, paperLot{bonus: true, available: n, until: today + bonusDays})
		return err
	case 4:
		_, ok := m.take(n, true)
		_, err := s.Adjust(ctx, m.id, walletadjustment.PartPrincipal, -n, "误记")
		return same(err, ok)
	case 5, 6:
		hold := k == 6
		parts, ok := m.take(n, false)
		p, err := s.Pay(ctx, wallets.Spending{CustomerID: m.id, Amount: n, Hold: hold})
		if ok && err == nil {
			for i := range parts {
				if hold {
					parts[i].lot.blocked += parts[i].amount
				} else {
					parts[i].captured = parts[i].amount
				}
			}
			// Promised for half an hour: what is left of them by the next day is released first.
			m.payments = append(m.payments, &paperPayment{p.ID, parts, hold})
		}
		return same(err, ok)
	case 7:
		if m == o {
			return nil
		}
		_, ok := m.take(n, true)
		_, err := s.Transfer(ctx, m.id, o.id, n, "", "")
		if ok && err == nil {
			add(o, paperLot{available: n})
		}
		return same(err, ok)
	case 8:
		if len(m.topUps) == 0 {
			return nil
		}
		up := m.topUps[r.IntN(len(m.topUps))]
		back := min(n, up.paid.available)
		_, err := s.RefundTopUp(ctx, up.id, &n, "退款")
		if back < n {
			if !wallets.ErrTooMuch.Is(err) {
				return fmt.Errorf("gave back %d of %d: %w", n, back, err)
			}
			return nil
		}
		owed := func(refunded int64) int64 { return (up.bonus*refunded + up.amount - 1) / up.amount }
		want := owed(up.refunded+n) - owed(up.refunded)
		up.refunded += n
		up.paid.available -= n
		if up.given != nil {
			up.given.available -= min(want, up.given.available)
		}
		return err
	default:
		return step(ctx, s, r, m, k, n, today)
	}
}

// step captures, releases or gives back one of a member's payments.
func step(ctx context.Context, s *wallets.Service, r *rand.Rand, m *paper, k int, n int64, today int) error {
	if len(m.payments) == 0 {
		return nil
	}
	p := m.payments[r.IntN(len(m.payments))]
	var held, spent int64
	for _, part := range p.parts {
		held, spent = held+part.amount, spent+part.captured
	}
	free := func(part *paperPart, amount int64) {
		part.lot.blocked -= amount
		part.lot.available += amount
	}
	if p.blocked {
		m.payments = slices.DeleteFunc(m.payments, func(x *paperPayment) bool { return x == p })
		if k == 9 {
			for i := range p.parts {
				free(&p.parts[i], p.parts[i].amount)
			}
			_, err := s.Release(ctx, p.id)
			m.settle(today)
			return err
		}
		_, err := s.Capture(ctx, p.id, &n)
		if n > held && wallets.ErrTooMuch.Is(err) || wallets.ErrPaymentState.Is(err) { // more than there is, or its time is over
			m.payments = append(m.payments, p)
			return nil
		}
		rest := n
		for i := range p.parts {
			part := &p.parts[i]
			part.captured = min(rest, part.amount)
			rest -= part.captured
			part.lot.blocked -= part.captured
			free(part, part.amount-part.captured)
		}
		p.blocked = false
		m.payments = append(m.payments, p)
		m.settle(today)
		return err
	}
	_, err := s.Refund(ctx, p.id, &n, "")
	if n > spent {
		if !wallets.ErrTooMuch.Is(err) {
			return fmt.Errorf("gave back %d of %d: %w", n, spent, err)
		}
		return nil
	}
	for i := len(p.parts) - 1; i >= 0; i-- {
		part := &p.parts[i]
		back := min(n, part.captured)
		part.captured -= back
		part.lot.available += back
		n -= back
		if back > 0 && part.lot.until > 0 && part.lot.until <= today {
			part.lot.until = today + givenBack
		}
	}
	return err
}
