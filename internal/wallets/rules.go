package wallets

import (
	"math/bits"
	"time"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/ent/loyalty/walletprogramme"
	"github.com/shuke-crm/shuke/internal/platform/clock"
)

// most is up to how much an account counts, in minor units: sums of a million
// accounts stay far below what an int64 holds.
const most = 1_000_000_000_000

// divide says how much of a payment comes from principal and how much from bonus.
// Both together hold n at least.
func divide(order walletprogramme.SpendOrder, n, principal, bonus int64) (fromPrincipal, fromBonus int64) {
	switch order {
	case walletprogramme.SpendOrderBonusFirst:
		fromBonus = min(n, bonus)
	case walletprogramme.SpendOrderProRata:
		fromBonus = share(n, bonus, principal+bonus)
	default:
		fromBonus = n - min(n, principal)
	}
	return n - fromBonus, fromBonus
}

// share is n × part / whole, rounded down; part is at most whole, which is not zero.
func share(n, part, whole int64) int64 {
	high, low := bits.Mul64(uint64(n), uint64(part))
	out, _ := bits.Div64(high, low, uint64(whole)) // at most n
	return int64(out)
}

// shareUp is share, rounded up.
func shareUp(n, part, whole int64) int64 { return n - share(n, whole-part, whole) }

// bonusOf is what the rules give for an amount paid in at once.
func bonusOf(rules []schema.TopUpRule, amount int64) int64 {
	var best schema.TopUpRule
	for _, r := range rules {
		if r.Amount <= amount && r.Amount > best.Amount {
			best = r
		}
	}
	return best.Bonus
}

// lasting is until when something lasts that lasts so many business days after an
// instant, the last of them whole; nil: for ever.
func lasting(c *clock.Clock, from time.Time, days int) *time.Time {
	if days == 0 {
		return nil
	}
	at := c.Start(c.DayOf(from) + clock.Day(days) + 1)
	return &at
}

// expiry is when a bonus given at an instant expires; nil: never.
func expiry(p *loyalty.WalletProgramme, c *clock.Clock, at time.Time) *time.Time {
	return lasting(c, at, p.BonusDays)
}

// warnings are how many days before it expires members are told of a bonus.
var warnings = []int{30, 7, 1}

// nextWarning is when the owner of a bonus is told next that it expires, after an
// instant; nil: not any more.
func nextWarning(expires *time.Time, after time.Time) *time.Time {
	if expires == nil {
		return nil
	}
	for _, days := range warnings {
		if at := expires.AddDate(0, 0, -days); at.After(after) {
			return &at
		}
	}
	return nil
}

// easy reports PINs that are tried first: digits that are all the same, or in a row.
func easy(pin string) bool {
	same, up, down := true, true, true
	for i := 1; i < len(pin); i++ {
		d := int(pin[i]) - int(pin[i-1])
		same, up, down = same && d == 0, up && d == 1, down && d == -1
	}
	return same || up || down
}
