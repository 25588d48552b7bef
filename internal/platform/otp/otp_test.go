package otp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

type world struct {
	*Service
	db  *db.DB
	now atomic.Pointer[time.Time]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{db: pgtest.DB(t)}
	w.set(time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC))
	w.Service = New(w.db, clock.Fake(time.UTC, func() time.Time { return *w.now.Load() }), crypto.Generate())
	return w
}

func (w *world) set(at time.Time)     { w.now.Store(&at) }
func (w *world) pass(d time.Duration) { w.set(w.now.Load().Add(d)) }

const purpose = "test.sign_in"

func (w *world) issue(t *testing.T, r Request) Challenge {
	t.Helper()
	c, err := w.Issue(t.Context(), r)
	require.NoError(t, err)
	return c
}

func to(subject string) Request { return Request{Purpose: purpose, Subject: subject} }

func wrong(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func wait(t *testing.T, err error) time.Duration {
	t.Helper()
	require.True(t, ErrTooMany.Is(err), "%v", err)
	return time.Duration(apperr.From(err).Args["retry_after"].(int)) * time.Second
}

func TestRightOnce(t *testing.T) {
	w := newWorld(t)
	c := w.issue(t, to("a"))
	require.Regexp(t, `^[0-9]{6}$`, c.Code)
	require.Equal(t, w.now.Load().Add(5*time.Minute), c.ExpiresAt)
	require.Equal(t, w.now.Load().Add(time.Minute), c.ResendAt)
	require.True(t, ErrWrong.Is(w.Check(t.Context(), c.ID, purpose, "a", wrong(c.Code))))
	require.NoError(t, w.Check(t.Context(), c.ID, purpose, "a", c.Code))
	require.True(t, ErrSpent.Is(w.Check(t.Context(), c.ID, purpose, "a", c.Code)), "a code counts once")
}

func TestBoundToPurposeSubjectAndChallenge(t *testing.T) {
	w := newWorld(t)
	a, b := w.issue(t, to("a")), w.issue(t, to("b"))
	for name, err := range map[string]error{
		"purpose":   w.Check(t.Context(), a.ID, "test.other", "a", a.Code),
		"subject":   w.Check(t.Context(), a.ID, purpose, "b", a.Code),
		"unknown":   w.Check(t.Context(), uuid.New(), purpose, "a", a.Code),
		"challenge": w.Check(t.Context(), b.ID, purpose, "a", a.Code),
	} {
		require.True(t, ErrSpent.Is(err), name)
	}
	require.NoError(t, w.Check(t.Context(), a.ID, purpose, "a", a.Code), "what was not a guess at it did not use it up")
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	c := w.issue(t, to("a"))
	w.pass(Life - time.Microsecond)
	require.True(t, ErrWrong.Is(w.Check(t.Context(), c.ID, purpose, "a", wrong(c.Code))), "alive to the last moment")
	w.pass(time.Microsecond)
	require.True(t, ErrSpent.Is(w.Check(t.Context(), c.ID, purpose, "a", c.Code)))
}

func TestFiveTries(t *testing.T) {
	w := newWorld(t)
	c := w.issue(t, to("a"))
	for range MaxAttempts {
		require.True(t, ErrWrong.Is(w.Check(t.Context(), c.ID, purpose, "a", wrong(c.Code))))
	}
	require.True(t, ErrSpent.Is(w.Check(t.Context(), c.ID, purpose, "a", c.Code)), "the right code comes too late")
}

func TestOneOfFiftyParallelRightAnswersCounts(t *testing.T) {
	w := newWorld(t)
	c := w.issue(t, to("a"))
	var right, spent, other atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch err := w.Check(context.Background(), c.ID, purpose, "a", c.Code); {
			case err == nil:
				right.Add(1)
			case ErrSpent.Is(err):
				spent.Add(1)
			default:
				other.Add(1)
			}
		})
	}
	wg.Wait()
	require.Equal(t, []int32{1, 49, 0}, []int32{right.Load(), spent.Load(), other.Load()})
}

// A guess counts even if the caller's own transaction is undone.
func TestGuessesOutliveTheCallersTransaction(t *testing.T) {
	w := newWorld(t)
	c := w.issue(t, to("a"))
	for range MaxAttempts {
		err := w.db.InTx(t.Context(), func(ctx context.Context, _ *db.Tx) error {
			return w.Check(ctx, c.ID, purpose, "a", wrong(c.Code))
		})
		require.True(t, ErrWrong.Is(err))
	}
	require.True(t, ErrSpent.Is(w.Check(t.Context(), c.ID, purpose, "a", c.Code)))
}

func TestLimitsOfASubject(t *testing.T) {
	w := newWorld(t)
	w.issue(t, to("a"))
	_, err := w.Issue(t.Context(), to("a"))
	require.Equal(t, time.Minute, wait(t, err), "one a minute")
	w.issue(t, to("b"))
	other := Request{Purpose: "test.other", Subject: "a"}
	_, err = w.Issue(t.Context(), other)
	require.Equal(t, time.Minute, wait(t, err), "whatever the purpose")
	for range 4 {
		w.pass(time.Minute)
		w.issue(t, other)
	}
	w.pass(time.Minute)
	_, err = w.Issue(t.Context(), to("a"))
	require.Equal(t, 55*time.Minute, wait(t, err), "five an hour, in any hour")
	w.pass(55 * time.Minute) // the first is an hour old
	w.issue(t, to("a"))
	for range 4 {
		w.pass(15 * time.Minute)
		w.issue(t, to("a"))
	}
	w.pass(2 * time.Hour)
	_, err = w.Issue(t.Context(), to("a"))
	require.Equal(t, 20*time.Hour, wait(t, err), "ten in a day and night")
	w.pass(20 * time.Hour)
	w.issue(t, to("a"))
}

func TestLimitsOfADeviceAndAnAddress(t *testing.T) {
	w := newWorld(t)
	for i := range perDeviceHour {
		w.issue(t, Request{Purpose: purpose, Subject: fmt.Sprint("s", i), Device: "d", IP: fmt.Sprint("192.0.2.", i)})
	}
	_, err := w.Issue(t.Context(), Request{Purpose: purpose, Subject: "x", Device: "d", IP: "192.0.2.99"})
	require.Equal(t, time.Hour, wait(t, err))
	// Addresses of one IPv6 network are one address.
	for i := range perIPHour {
		w.issue(t, Request{Purpose: purpose, Subject: fmt.Sprint("v", i), IP: fmt.Sprintf("2001:db8::%x", i+1)})
	}
	_, err = w.Issue(t.Context(), Request{Purpose: purpose, Subject: "y", IP: "2001:db8::ffff"})
	require.Equal(t, time.Hour, wait(t, err))
	w.issue(t, Request{Purpose: purpose, Subject: "y", IP: "2001:db8:0:1::1"})
	w.issue(t, to("x")) // the refused one did not count
}

func TestParallelRequestsKeepTheLimits(t *testing.T) {
	w := newWorld(t)
	var same, device atomic.Int32
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if _, err := w.Issue(context.Background(), Request{Purpose: purpose, Subject: "a", IP: "192.0.2.1"}); err == nil {
				same.Add(1)
			}
			if _, err := w.Issue(context.Background(), Request{Purpose: purpose, Subject: fmt.Sprint(i), Device: "d", IP: "192.0.2.1"}); err == nil {
				device.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, same.Load())
	require.EqualValues(t, perDeviceHour, device.Load())
}

func TestOldRowsGoWithNewOnes(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.issue(t, to(fmt.Sprint(i)))
	}
	w.pass(keep)
	w.issue(t, to("still counted"))
	require.Equal(t, 6, w.count(t))
	w.pass(time.Second)
	w.issue(t, to("new"))
	require.Equal(t, 2, w.count(t))
}

func (w *world) count(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, w.db.SQL.QueryRow("SELECT count(*) FROM one_time_codes").Scan(&n))
	return n
}

func TestRowsGiveNothingAway(t *testing.T) {
	w := newWorld(t)
	c := w.issue(t, Request{Purpose: purpose, Subject: "+8613800138000", Device: "my-device", IP: "192.0.2.77"})
	var row string
	require.NoError(t, w.db.SQL.QueryRow("SELECT o::text FROM one_time_codes o").Scan(&row))
	for _, secret := range []string{c.Code, "13800138000", "my-device", "192.0.2.77"} {
		require.NotContains(t, row, secret)
	}
}

// An attacker asks for every code he can get and makes 10,000 guesses spread
// over an hour at all challenges of one subject, after an hour in which he got
// hold of as many challenges as there are. Nearly all his guesses are not even
// looked at, in no hour more than 50, so that the chance of one being right is
// below 1e-4.
func TestTenThousandGuessesAnHour(t *testing.T) {
	w := newWorld(t)
	const guesses = 10_000
	start := *w.now.Load()
	begin := start.Add(57 * time.Minute)
	var held []uuid.UUID
	var looked []time.Duration // when a guess was judged, since start
	right := 0
	try := func(at time.Duration) {
		w.set(start.Add(at))
		if c, err := w.Issue(t.Context(), to("victim")); err == nil {
			held = append(held, c.ID)
		}
	}
	// Challenges late in the first hour are still alive in the second.
	for at := 52*time.Minute + 30*time.Second; at < 57*time.Minute; at += time.Minute {
		try(at)
	}
	for i := range guesses {
		at := begin.Sub(start) + time.Duration(i)*time.Hour/guesses
		if i%50 == 0 {
			try(at)
		}
		w.set(start.Add(at))
		id := held[len(held)-1-i%min(len(held), 8)] // newest first, but all that may be alive
		switch err := w.Check(t.Context(), id, purpose, "victim", fmt.Sprintf("%06d", rand.N(1_000_000))); {
		case err == nil:
			right++
			looked = append(looked, at)
		case ErrWrong.Is(err):
			looked = append(looked, at)
		default:
			require.True(t, ErrSpent.Is(err), "%v", err)
		}
	}
	most := 0
	for i := range looked {
		n := 0
		for _, at := range looked[i:] {
			if at-looked[i] < time.Hour {
				n++
			}
		}
		most = max(most, n)
	}
	t.Logf("%d challenges, %d of %d guesses looked at, %d right", len(held), most, guesses, right)
	require.LessOrEqual(t, most, 50)
	require.GreaterOrEqual(t, most, 25, "the attack makes use of what it is given")
	require.Less(t, float64(most)/1_000_000, 1e-4)
	var counted int
	require.NoError(t, w.db.SQL.QueryRow("SELECT sum(attempts) FROM one_time_codes").Scan(&counted))
	require.Equal(t, len(looked), counted, "a guess is looked at only if it was counted")
}

func TestCodesAreSpreadEvenly(t *testing.T) {
	const n = 20_000
	var first [10]int
	for range n {
		code, err := newCode()
		require.NoError(t, err)
		first[code[0]-'0']++
	}
	for digit, count := range first {
		require.InDelta(t, n/10, count, 300, "first digit %d", digit) // seven standard deviations
	}
}
