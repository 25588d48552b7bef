package server_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// till is a customer with stored value: paid in, some spent, some promised, an
// adjustment that waits.
type till struct{ customer, entry, topUp, hold, spent, adjustment uuid.UUID }

func (c *cell) till() till {
	b := c.newBuyer()
	if c.object == "none" {
		return till{uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	}
	root := c.Admin()
	path := "/v1/customers/" + b.id.String() + "/wallet"
	ask := func(verb string, body map[string]any) (id uuid.UUID) {
		r := root.Do(http.MethodPost, path+"/"+verb, body, c.stockKey()...).Want(http.StatusCreated)
		return uuid.MustParse(r.Map()["id"].(string))
	}
	w := till{customer: b.id}
	w.topUp = ask("top-ups", map[string]any{"amount": 10000, "method": "cash"})
	w.spent = ask("payments", map[string]any{"amount": 100})
	w.hold = ask("payments", map[string]any{"amount": 100, "hold": true, "expires_at": c.Clock.Now().Add(24 * time.Hour)})
	c.one(&w.entry, "SELECT e.id FROM wallet_entries e JOIN wallet_accounts a ON a.id = e.account_id WHERE a.customer_id = $1 ORDER BY e.number LIMIT 1", b.id)
	w.adjustment = uuid.New()
	c.exec(`INSERT INTO wallet_adjustments (id, customer_id, part, amount, reason, status, created_at, updated_at)
		VALUES ($1, $2, 'bonus', 5, '补偿', 'awaiting_approval', now(), now())`, w.adjustment, b.id)
	return w
}

// onTill is a request about a member's stored value. What comes out other than
// allowed must have left it alone.
func onTill(method string, path func(w till) string, body map[string]any) probe {
	return func(c *cell) byte {
		w := c.till()
		state := func() (s string) {
			c.one(&s, "SELECT coalesce(string_agg(a.version::text || a.pin_hash, ','), '') FROM wallet_accounts a WHERE a.customer_id = $1", w.customer)
			return s
		}
		before := state()
		var b any
		if body != nil {
			b = body
		}
		var headers []string
		if method == http.MethodPost {
			headers = c.stockKey()
		}
		letter := judge(c.do(method, path(w), b, headers...))
		if letter != allowed && state() != before {
			return strange
		}
		return letter
	}
}

func ofTill(suffix string) func(w till) string {
	return func(w till) string { return "/v1/customers/" + w.customer.String() + "/wallet" + suffix }
}

func ofWalletHold(suffix string) func(w till) string {
	return func(w till) string { return "/v1/wallets/payments/" + w.hold.String() + suffix }
}

func ofWalletAdjustment(suffix string) func(w till) string {
	return func(w till) string { return "/v1/wallets/adjustments/" + w.adjustment.String() + suffix }
}

// giftCard is a sold card without a PIN in a batch that is ready.
type giftCard struct {
	id, batch uuid.UUID
	code      string
}

func (c *cell) giftCard() giftCard {
	if c.object == "none" {
		return giftCard{uuid.New(), uuid.New(), "0000-0000-0000-0000"}
	}
	now := c.Clock.Now()
	k, account := giftCard{id: uuid.New(), batch: uuid.New(), code: cardCode(c.numbers.Add(1))}, uuid.New()
	c.exec(`INSERT INTO gift_card_batches (id, name, quantity, issued, face_amount, with_pin, status, created_at, updated_at) VALUES ($1, '卡', 1, 1, 100, false, 'ready', $2, $2)`, k.batch, now)
	c.exec(`INSERT INTO wallet_accounts (id, kind, principal, entry_count, created_at, updated_at) VALUES ($1, 'gift_card', 100, 0, $2, $2)`, account, now)
	c.exec(`INSERT INTO wallet_lots (id, account_id, kind, amount, available, created_at) VALUES ($1, $2, 'principal', 100, 100, $3)`, uuid.New(), account, now)
	c.exec(`INSERT INTO gift_cards (id, batch_id, number, code_hash, last4, status, account_id, created_at, updated_at) VALUES ($1, $2, 1, $3, $4, 'active', $5, $6, $6)`,
		k.id, k.batch, c.Keys.Index("gift_cards.code", k.code), k.code[12:], account, now)
	return k
}

// cardCode is a code whose check character is right: of zeros, a number and what
// makes the sum whole.
func cardCode(n int64) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	body := fmt.Sprintf("%015d", n)
	factor, sum := 2, 0
	for i := len(body) - 1; i >= 0; i-- {
		at := int(body[i]-'0') * factor
		sum += at/32 + at%32
		factor = 3 - factor
	}
	return body + string(alphabet[(32-sum%32)%32])
}

// onCard is a request about a gift card, whose code it may name. What comes out other
// than allowed must have left it alone.
func onCard(method string, path func(k giftCard) string, byCode bool, body map[string]any) probe {
	return func(c *cell) byte {
		k := c.giftCard()
		state := func() (s string) {
			c.one(&s, "SELECT coalesce(max(c.version::text || c.status || a.principal::text), '') FROM gift_cards c LEFT JOIN wallet_accounts a ON a.id = c.account_id WHERE c.id = $1", k.id)
			return s
		}
		b := map[string]any{}
		for name, v := range body {
			b[name] = v
		}
		if byCode {
			b["code"] = k.code
		}
		target := path(k)
		before := state()
		var sent any
		if body != nil {
			sent = b
		}
		var headers []string
		if method == http.MethodPost {
			headers = c.stockKey()
		}
		letter := judge(c.do(method, target, sent, headers...))
		if letter != allowed && state() != before {
			return strange
		}
		return letter
	}
}

func ofCard(suffix string) func(k giftCard) string {
	return func(k giftCard) string { return "/v1/gift-cards/" + k.id.String() + suffix }
}

func ofBatch(suffix string) func(k giftCard) string {
	return func(k giftCard) string { return "/v1/gift-card-batches/" + k.batch.String() + suffix }
}

var walletProbes = map[string]probe{
	"getWalletProgramme": plain(http.MethodGet, "/v1/wallet-programme", nil),
	"setWalletProgramme": plain(http.MethodPut, "/v1/wallet-programme", map[string]any{"transferable": true}),
	"getWallet":          onTill(http.MethodGet, ofTill(""), nil),
	"listWalletEntries":  onTill(http.MethodGet, ofTill("/entries"), nil),
	"listWalletTopUps":   onTill(http.MethodGet, ofTill("/top-ups"), nil),
	"listWalletPayments": onTill(http.MethodGet, ofTill("/payments"), nil),
	"topUpWallet":        onTill(http.MethodPost, ofTill("/top-ups"), map[string]any{"amount": 500, "method": "cash"}),
	"topUpWallet/bonus":  onTill(http.MethodPost, ofTill("/top-ups"), map[string]any{"amount": 500, "method": "cash", "bonus_amount": 100}),
	"payByWallet":        onTill(http.MethodPost, ofTill("/payments"), map[string]any{"amount": 5}),
	"adjustWallet":       onTill(http.MethodPost, ofTill("/adjustments"), map[string]any{"portion": "bonus", "amount": 5, "reason": "补偿"}),
	"freezeWallet":       onTill(http.MethodPost, ofTill("/freeze"), map[string]any{"reason": "挂失"}),
	"unfreezeWallet": func(c *cell) byte {
		return onTill(http.MethodPost, func(w till) string {
			c.exec("UPDATE wallet_accounts SET frozen_at = now() WHERE customer_id = $1", w.customer)
			return ofTill("/unfreeze")(w)
		}, map[string]any{"reason": "找回"})(c)
	},
	"setWalletPin": onTill(http.MethodPut, ofTill("/pin"), map[string]any{"pin": "271828"}),
	"transferFromWallet": func(c *cell) byte {
		c.exec("UPDATE wallet_programmes SET transferable = true")
		w, own := c.till(), c.customer(c.place("own", c.actor))
		return judge(c.do(http.MethodPost, "/v1/customers/"+w.customer.String()+"/wallet/transfers", map[string]any{"to_customer_id": own.id, "amount": 5}, c.stockKey()...))
	},
	"getWalletTopUp":       onTill(http.MethodGet, func(w till) string { return "/v1/wallets/top-ups/" + w.topUp.String() }, nil),
	"refundWalletTopUp":    onTill(http.MethodPost, func(w till) string { return "/v1/wallets/top-ups/" + w.topUp.String() + "/refund" }, map[string]any{"amount": 10, "reason": "退款"}),
	"getWalletPayment":     onTill(http.MethodGet, ofWalletHold(""), nil),
	"captureWalletPayment": onTill(http.MethodPost, ofWalletHold("/capture"), nil),
	"releaseWalletPayment": onTill(http.MethodPost, ofWalletHold("/release"), nil),
	"refundWalletPayment":  onTill(http.MethodPost, func(w till) string { return "/v1/wallets/payments/" + w.spent.String() + "/refund" }, nil),
	"getWalletEntry":       onTill(http.MethodGet, func(w till) string { return "/v1/wallets/entries/" + w.entry.String() }, nil),
	"listWalletAdjustments": func(c *cell) byte {
		w := c.till()
		return among(c.do(http.MethodGet, fmt.Sprintf("/v1/wallets/adjustments?limit=200&status=awaiting_approval&customer_id=%s", w.customer), nil), w.adjustment)
	},
	"getWalletAdjustment":     onTill(http.MethodGet, ofWalletAdjustment(""), nil),
	"approveWalletAdjustment": onTill(http.MethodPost, ofWalletAdjustment("/approve"), nil),
	"rejectWalletAdjustment":  onTill(http.MethodPost, ofWalletAdjustment("/reject"), nil),
	"listGiftCards": func(c *cell) byte {
		k := c.giftCard()
		return among(c.do(http.MethodGet, "/v1/gift-cards?limit=200&batch_id="+k.batch.String(), nil), k.id)
	},
	"issueGiftCards": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/gift-cards", map[string]any{"name": "新年卡", "quantity": 1, "face_amount": 100}, c.stockKey()...))
	},
	"getGiftCardBalance": onCard(http.MethodPost, func(k giftCard) string { return "/v1/gift-cards/balance" }, true, map[string]any{}),
	"payByGiftCard":      onCard(http.MethodPost, func(k giftCard) string { return "/v1/gift-cards/payments" }, true, map[string]any{"amount": 5}),
	"redeemGiftCard": func(c *cell) byte {
		w, k := c.till(), c.giftCard()
		return judge(c.do(http.MethodPost, "/v1/gift-cards/redeem", map[string]any{"customer_id": w.customer, "code": k.code}, c.stockKey()...))
	},
	"getGiftCard":         onCard(http.MethodGet, ofCard(""), false, nil),
	"listGiftCardEntries": onCard(http.MethodGet, ofCard("/entries"), false, nil),
	"activateGiftCard": func(c *cell) byte {
		k := c.giftCard()
		c.exec("UPDATE gift_cards SET status = 'issued', account_id = NULL WHERE id = $1", k.id)
		return judge(c.do(http.MethodPost, ofCard("/activate")(k), map[string]any{"method": "cash"}, c.stockKey()...))
	},
	"freezeGiftCard": onCard(http.MethodPost, ofCard("/freeze"), false, map[string]any{"reason": "挂失"}),
	"unfreezeGiftCard": func(c *cell) byte {
		return onCard(http.MethodPost, func(k giftCard) string {
			c.exec("UPDATE gift_cards SET status = 'frozen' WHERE id = $1", k.id)
			return ofCard("/unfreeze")(k)
		}, false, map[string]any{"reason": "找回"})(c)
	},
	"cancelGiftCard": onCard(http.MethodPost, ofCard("/cancel"), false, map[string]any{"reason": "作废"}),
	"extendGiftCard": onCard(http.MethodPost, ofCard("/extend"), false, map[string]any{"valid_until": nil, "reason": "延期"}),
	"listGiftCardBatches": func(c *cell) byte {
		k := c.giftCard()
		return among(c.do(http.MethodGet, "/v1/gift-card-batches?limit=200", nil), k.batch)
	},
	"getGiftCardBatch":    onCard(http.MethodGet, ofBatch(""), false, nil),
	"exportGiftCards":     onCard(http.MethodPost, ofBatch("/export"), false, nil),
	"cancelGiftCardBatch": onCard(http.MethodPost, ofBatch("/cancel"), false, map[string]any{"reason": "作废"}),
	"getWalletLiability":  plain(http.MethodGet, "/v1/wallets/liability", nil),
	"getWalletIntegrity":  plain(http.MethodGet, "/v1/wallets/integrity", nil),
	"listWalletPostings":  plain(http.MethodGet, "/v1/wallets/postings", nil),
}
