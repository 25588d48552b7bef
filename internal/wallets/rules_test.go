package wallets

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/ent/loyalty/walletprogramme"
)

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		order                       walletprogramme.SpendOrder
		n, principal, bonus         int64
		wantPrincipal, wantFromGift int64
	}{
		{walletprogramme.SpendOrderPrincipalFirst, 70, 100, 50, 70, 0}, {walletprogramme.SpendOrderPrincipalFirst, 120, 100, 50, 100, 20},
		{walletprogramme.SpendOrderBonusFirst, 70, 100, 50, 20, 50}, {walletprogramme.SpendOrderBonusFirst, 30, 100, 50, 0, 30},
		{walletprogramme.SpendOrderProRata, 10, 100, 50, 7, 3}, {walletprogramme.SpendOrderProRata, 150, 100, 50, 100, 50}, {walletprogramme.SpendOrderProRata, 1, 0, 1, 0, 1},
		{walletprogramme.SpendOrderProRata, most, most, most, most / 2, most / 2},
	} {
		principal, bonus := divide(c.order, c.n, c.principal, c.bonus)
		assert.Equal(t, []int64{c.wantPrincipal, c.wantFromGift}, []int64{principal, bonus}, "%+v", c)
	}
}

func TestBonusOf(t *testing.T) {
	rules := []schema.TopUpRule{{Amount: 500, Bonus: 50}, {Amount: 1000, Bonus: 120}, {Amount: 200, Bonus: 15}}
	for amount, want := range map[int64]int64{199: 0, 200: 15, 499: 15, 500: 50, 999: 50, 1000: 120, 99999: 120} {
		assert.Equal(t, want, bonusOf(rules, amount), "%d", amount)
	}
}

// Over any parts a top-up that goes back owes its whole bonus, no more and no less.
func TestRefundOfAddsUp(t *testing.T) {
	for _, parts := range [][]int64{{100}, {1, 99}, {33, 33, 34}, {50, 1, 49}} {
		up := &loyalty.WalletTopUp{Amount: 100, Bonus: 7}
		left := up.Bonus
		for _, n := range parts {
			back := refundOf(up, n, left)
			assert.Equal(t, n, back.paidOut)
			up.Refunded += n
			left -= back.bonus
		}
		assert.Zero(t, left, "%v", parts)
	}
	spent := refundOf(&loyalty.WalletTopUp{Amount: 100, Bonus: 7}, 100, 3)
	assert.Equal(t, goingBack{paidOut: 96, bonus: 3}, spent)
}

func TestNextWarning(t *testing.T) {
	expires := time.Date(2026, 9, 1, 16, 0, 0, 0, time.UTC)
	for after, want := range map[int]int{-40: 30, -30: 7, -8: 7, -7: 1, -2: 1} {
		at := nextWarning(&expires, expires.AddDate(0, 0, after))
		assert.Equal(t, expires.AddDate(0, 0, -want), *at, "%d days", after)
	}
	assert.Nil(t, nextWarning(&expires, expires.AddDate(0, 0, -1)))
	assert.Nil(t, nextWarning(nil, expires))
}

// A code tells any one wrong character, and is read as people type it.
func TestCodes(t *testing.T) {
	for range 50 {
		code := newCode()
		read, ok := tidyCode(" " + printed(code) + " ")
		assert.True(t, ok)
		assert.Equal(t, code, read)
		for i := range code {
			for _, c := range alphabet {
				if byte(c) == code[i] {
					continue
				}
				_, ok := tidyCode(code[:i] + string(c) + code[i+1:])
				assert.False(t, ok, "%s with %c at %d", code, c, i)
			}
		}
		assert.Len(t, newPIN(), 6)
	}
	for _, raw := range []string{"", "123", "????????????????", "0000-0000-0000-000U"} {
		_, ok := tidyCode(raw)
		assert.False(t, ok, raw)
	}
	ones, ok := tidyCode("IL1O" + "0" + "0000000000" + string(checkOf("111000000000000")))
	assert.True(t, ok)
	assert.Equal(t, "1110", ones[:4])
}
