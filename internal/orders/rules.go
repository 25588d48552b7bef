package orders

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Bounds of a ticket. Together they keep every sum within an int64: 1,000
// lines of a million pieces at ten million yuan are 1e18.
const (
	maxLines    = 1000
	maxQuantity = 1_000_000
	maxPrice    = 1_000_000_000
	maxNumber   = 64
	maxTitle    = 300
	maxCategory = 120
	maxMethod   = 32
	maxCoupons  = 20

	// 20 payments stay below 2^53, up to which JSON readers hold numbers exactly.
	maxPayments = 20
	maxPayment  = 100_000_000_000_000

	maxExternalID = 128
	maxCard       = 64
	maxPhone      = 32

	ahead = 24 * time.Hour
)

// channels are where an order can come from.
var channels = []string{"pos", "web", "mini_program", "marketplace", "live"}

// tidy brings a ticket to its normal form: blanks around names do not count.
func (t *Ticket) tidy(currency string) {
	t.Number, t.Original = strings.TrimSpace(t.Number), strings.TrimSpace(t.Original)
	t.PlacedAt = t.PlacedAt.UTC().Truncate(time.Microsecond)
	if t.Currency == "" {
		t.Currency = currency
	}
	if t.Channel == "" {
		t.Channel = "pos"
	}
	for i := range t.Lines {
		l := &t.Lines[i]
		l.SKU, l.Title, l.Category = strings.TrimSpace(l.SKU), strings.TrimSpace(l.Title), strings.TrimSpace(l.Category)
	}
}

// check finds the first fault of a tidied ticket that shows without asking the
// database. At is the ticket's place in the request ("/orders/3").
func (t *Ticket) check(at string, now time.Time, currency string) *apperr.Error {
	switch {
	case t.unread != nil:
		return t.unread
	case !visible(t.Number, maxNumber):
		return ErrNumber.At(at + "/external_number")
	case t.Original != "" && !visible(t.Original, maxNumber):
		return ErrNumber.At(at + "/original_external_number")
	case t.Original != "" && (t.Original == t.Number || !t.takesBack()):
		return ErrOriginal.At(at + "/original_external_number")
	case t.PlacedAt.After(now.Add(ahead)):
		return ErrInFuture.At(at + "/placed_at")
	case t.PlacedAt.Unix() < 0:
		return ErrTooOld.At(at + "/placed_at")
	case t.Currency != currency:
		return ErrCurrency.At(at+"/currency").Arg("currency", currency)
	case !slices.Contains(channels, t.Channel):
		return ErrChannel.At(at+"/channel").Arg("allowed", strings.Join(channels, ", "))
	case len(t.CouponCodes) > maxCoupons || slices.ContainsFunc(t.CouponCodes, func(c string) bool { return !visible(c, maxNumber) }):
		return ErrCoupons.At(at+"/coupon_codes").Arg("max", maxCoupons)
	case len(t.Payments) > maxPayments:
		return ErrPayments.At(at+"/payments").Arg("max", maxPayments)
	case len(t.Lines) == 0 || len(t.Lines) > maxLines:
		return ErrNoLines.At(at+"/lines").Arg("max", maxLines)
	}
	for i := range t.Lines {
		if err := t.Lines[i].check(at + "/lines/" + strconv.Itoa(i)); err != nil {
			return err
		}
	}
	for i, p := range t.Payments {
		switch at := at + "/payments/" + strconv.Itoa(i); {
		case p.Method == "":
			return ErrRequired.At(at + "/method")
		case !storable(p.Method, maxMethod):
			return ErrText.At(at+"/method").Arg("max", maxMethod)
		case p.Amount > maxPayment || p.Amount < -maxPayment:
			return ErrPaymentAmount.At(at+"/amount").Arg("max", maxPayment)
		}
	}
	return nil
}

func (l *TicketLine) check(at string) *apperr.Error {
	switch {
	case !visible(l.SKU, maxNumber):
		return ErrSKU.At(at + "/sku")
	case l.Quantity == 0 || l.Quantity > maxQuantity || l.Quantity < -maxQuantity:
		return ErrQuantity.At(at+"/quantity").Arg("max", maxQuantity)
	case l.UnitPrice < 0 || l.UnitPrice > maxPrice:
		return ErrPrice.At(at+"/unit_price_amount").Arg("max", maxPrice)
	case l.Discount < 0 || l.Discount > max(l.Quantity, -l.Quantity)*l.UnitPrice:
		return ErrDiscount.At(at + "/discount_amount")
	case !storable(l.Title, maxTitle):
		return ErrText.At(at+"/title").Arg("max", maxTitle)
	case !storable(l.Category, maxCategory):
		return ErrText.At(at+"/category").Arg("max", maxCategory)
	}
	return nil
}

func visible(s string, limit int) bool {
	return s != "" && storable(s, limit) && !strings.ContainsFunc(s, unicode.IsControl)
}

// storable text is no longer than the column and has no NUL, which PostgreSQL
// refuses.
func storable(s string, limit int) bool {
	return (len(s) <= limit || utf8.RuneCountInString(s) <= limit) && !strings.ContainsRune(s, 0) && utf8.ValidString(s)
}

// back reports whether a line is goods brought back, and how many pieces it moves.
func (t *Ticket) back(l *TicketLine) (back bool, pieces int64) {
	if l.Quantity < 0 {
		return true, -l.Quantity
	}
	return t.Return, l.Quantity
}

// sells reports whether the ticket makes an order.
func (t *Ticket) sells() bool {
	return slices.ContainsFunc(t.Lines, func(l TicketLine) bool {
		back, _ := t.back(&l)
		return !back
	})
}

func (t *Ticket) takesBack() bool {
	for i := range t.Lines {
		if back, _ := t.back(&t.Lines[i]); back {
			return true
		}
	}
	return t.Return
}

// content is everything of a tidied ticket that decides what it means, for the
// fingerprint by which a repetition is known. Titles and categories only help
// to make products and do not count.
func (t *Ticket) content() string {
	b := make([]byte, 0, 96+len(t.Lines)*32)
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	if t.Return {
		b = append(b, 'r')
	} else {
		b = append(b, 's')
	}
	b = binary.AppendVarint(b, t.PlacedAt.UnixMicro())
	text(t.Original)
	text(t.Currency)
	text(t.Channel)
	b = append(b, t.StaffID[:]...)
	if c := t.Customer; c != nil {
		b = append(b, c.ID[:]...)
		text(c.ExternalID)
		text(c.CardNumber)
		text(c.Phone)
	}
	b = append(b, '|')
	for i := range t.Lines {
		l := &t.Lines[i]
		text(l.SKU)
		b = binary.AppendVarint(b, l.Quantity)
		b = binary.AppendVarint(b, l.UnitPrice)
		if l.Discount != 0 {
			b = append(b, 'd')
			b = binary.AppendVarint(b, l.Discount)
		}
	}
	b = append(b, '|')
	for _, c := range t.CouponCodes {
		b = append(b, 'c')
		text(c)
	}
	for _, p := range t.Payments {
		text(p.Method)
		b = binary.AppendVarint(b, p.Amount)
	}
	if t.Fields != nil { // those without are as they were before there were any
		raw, _ := json.Marshal(t.Fields) // read from JSON; members in the order of their names
		b = append(b, '|')
		text(string(raw))
	}
	return string(b)
}
