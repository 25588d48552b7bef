package imports

import (
	"context"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/orders"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Orders of former times come as a row a line. Rows that follow each other with
// the same number and store are one order, and one that is wrong fails with all
// of its rows. A line of JSON is a whole order.

const (
	orderBatch    = 1000 // orders
	orderLineRows = 1000 // of one order, as many as a ticket can have
)

// history is the import of orders.
type history struct {
	w        *work
	into     *orders.History
	mapping  Mapping
	at       map[string]int // number of each field's column
	want     int
	sheet    bool
	mac      bool
	json     bool
	places   places
	zone     *time.Location
	currency string
	digits   int

	ahead   *row   // read, of the next batch
	tainted bool   // the row before cannot be told whose it is
	broken  rowKey // an order of too many rows
}

// historyWork is a batch of orders.
type historyWork struct {
	tickets []orders.Ticket
	groups  []group // all orders, those that are no tickets too
	past    *orders.Past
}

// group are the rows of an order, by their places in the batch.
type group struct {
	from, to int
	ticket   int    // its place among the tickets; -1 when its rows have faults
	lines    []int  // for each line of the ticket, its row
	named    string // the field that names the customer
}

// rowKey is what rows of one order have in common.
type rowKey struct{ store, number string }

func (s *Service) newOrders(ctx context.Context, w *work) (*history, error) {
	options := optionsOf(w.run.ImportRun)
	m, p, err := s.placesOf(ctx, w.run)
	if err != nil {
		return nil, err
	}
	k := &history{w: w, mapping: m, at: map[string]int{}, want: w.run.Reading.Columns, sheet: w.run.Format == formatXLSX, mac: w.run.Reading.Mac, json: w.run.Format == formatJSONL,
		places: p, zone: s.Clock.Location(), currency: s.Orders.Currency(), into: s.Orders.Load(orders.HistoryOptions{
			CreateMissing: options.CreateMissing, MoveStock: options.MoveStock, Trial: w.run.DryRun})}
	k.digits = decimals(k.currency)
	for column, field := range m {
		k.at[field] = column
	}
	return k, nil
}

// read collects whole orders.
func (k *history) read(source rows, after int64) (pending, error) {
	batch := &historyWork{}
	p := pending{last: after, work: batch}
	var now rowKey
	start := 0
	end := func() {
		if start < len(p.rows) {
			k.group(&p, batch, start, now)
			start, p.last = len(p.rows), p.rows[len(p.rows)-1].Number
		}
	}
	for {
		r, err := k.next(source)
		if err != nil {
			if errors.Is(err, io.EOF) {
				end()
			} else if start < len(p.rows) { // the rest of the order cannot be read
				p.rows = p.rows[:start]
			}
			return p, err
		}
		if r.number <= after || r.empty() {
			continue
		}
		if r.number-k.w.run.Reading.Header > maxRows {
			end()
			return p, ErrRows.New().Arg("max", maxRows)
		}
		key, told := k.keyOf(&r)
		if start < len(p.rows) && (told && key != now || k.json || len(p.rows)-start > orderLineRows) {
			if key == now && !k.json {
				k.broken = key
			}
			end()
			if len(batch.groups) >= orderBatch {
				k.ahead = &r
				return p, nil
			}
		}
		if told || start == len(p.rows) {
			now = key
		}
		p.rows = append(p.rows, badRow{Number: r.number, Faults: k.readable(&r, told), Cells: slices.Clone(r.cells)})
	}
}

// next is the row read ahead, or the next one. What it holds is its own.
func (k *history) next(source rows) (row, error) {
	if k.ahead != nil {
		r := *k.ahead
		k.ahead = nil
		return r, nil
	}
	r, err := source.next()
	r.cells = slices.Clone(r.cells)
	return r, err
}

// keyOf tells which order a row is of, if it does.
func (k *history) keyOf(r *row) (rowKey, bool) {
	if k.json {
		return rowKey{}, true
	}
	number := k.cell(r.cells, "external_number")
	return rowKey{strings.ToLower(k.cell(r.cells, "store")), number}, number != "" && r.faults[wholeRow] == nil
}

func (k *history) cell(cells []string, field string) string {
	if n := k.at[field]; n > 0 && n <= len(cells) {
		return clean(cells[n-1])
	}
	return ""
}

// readable finds what is wrong with a row as such.
func (k *history) readable(r *row, told bool) []cellFault {
	if k.json {
		if d := r.faults[wholeRow]; d != nil {
			return []cellFault{{Code: d.Code}}
		}
		return nil
	}
	faults := rowFaults(r, k.mapping, k.want)
	if !told && len(faults) == 0 {
		faults = append(faults, k.fault("external_number", orders.ErrRequired, nil))
	}
	return faults
}

// rowFaults are what is wrong with a row whatever its cells mean.
func rowFaults(r *row, m Mapping, want int) (faults []cellFault) {
	switch d := r.faults[wholeRow]; {
	case d != nil:
		return []cellFault{{Code: d.Code}}
	case r.ragged && raggedRow(r.cells, want):
		return []cellFault{{Code: ErrRagged.Code, Args: map[string]any{"have": len(r.cells), "want": want}}}
	}
	for column, field := range m {
		bad := r.faults[column-1]
		if bad == nil && column <= len(r.cells) && r.ragged && strings.HasPrefix(strings.TrimSpace(r.cells[column-1]), "=") {
			bad = ErrFormula
		}
		if bad != nil {
			faults = append(faults, cellFault{Column: column, Field: field, Code: bad.Code})
		}
	}
	return sortFaults(faults)
}

func sortFaults(faults []cellFault) []cellFault {
	slices.SortStableFunc(faults, func(a, b cellFault) int { return a.Column - b.Column })
	return faults
}

func (k *history) fault(field string, d *apperr.Definition, args map[string]any) cellFault {
	return cellFault{Column: k.at[field], Field: field, Code: d.Code, Args: args}
}

// group makes an order of the rows from a place on.
func (k *history) group(p *pending, batch *historyWork, start int, key rowKey) {
	g := group{from: start, to: len(p.rows), ticket: -1}
	rows := p.rows[start:]
	long := len(rows) > orderLineRows || key != rowKey{} && key == k.broken
	bad, untold := long || k.tainted, false
	if long {
		rows[0].Faults = append(rows[0].Faults, cellFault{Code: orders.ErrNoLines.Code, Args: map[string]any{"max": orderLineRows}})
	}
	for i := range rows {
		bad = bad || len(rows[i].Faults) > 0
		if !k.json && k.cell(rows[i].Cells, "external_number") == "" {
			untold = true
		}
	}
	k.tainted = untold
	if !bad {
		var t orders.Ticket
		if k.json {
			t = k.parse(&rows[0])
		} else {
			t = k.ticket(rows, &g)
		}
		for i := range rows {
			bad = bad || len(rows[i].Faults) > 0
		}
		if !bad {
			g.ticket = len(batch.tickets)
			batch.tickets = append(batch.tickets, t)
			p.alone = p.alone || t.Original != ""
		}
	}
	if bad {
		leave(rows, ErrOrderLeft)
	}
	batch.groups = append(batch.groups, g)
}

// leave fails all rows of a record, those that are right as such too.
func leave(rows []badRow, with *apperr.Definition) {
	for i := range rows {
		if len(rows[i].Faults) == 0 {
			rows[i].Faults = []cellFault{{Code: with.Code}}
		}
	}
}

// parse reads a line of JSON.
func (k *history) parse(r *badRow) orders.Ticket {
	t, err := orders.ParseTicket([]byte(r.Cells[0]))
	if err != nil {
		r.Faults = []cellFault{{Column: 1, Code: ErrJSON.Code}}
	}
	return t
}

// ticket reads the rows of an order. What the order has once, the first row says;
// others repeat it or leave it empty.
func (k *history) ticket(rows []badRow, g *group) orders.Ticket {
	first := &rows[0]
	bad := func(r *badRow, field string, d *apperr.Definition, args map[string]any) {
		r.Faults = append(r.Faults, k.fault(field, d, args))
	}
	get := func(field string) string { return k.cell(first.Cells, field) }
	for i := range rows[1:] {
		r := &rows[1+i]
		for _, field := range orderWide {
			if v := k.cell(r.Cells, field); v != "" && v != get(field) {
				bad(r, field, ErrOrderDiffers, nil)
			}
		}
	}
	t := orders.Ticket{Number: get("external_number"), Original: get("original_external_number"), Currency: strings.ToUpper(get("currency")),
		Channel: channelWord(get("channel"))}
	if id, ok := k.places.stores[strings.ToLower(get("store"))]; ok {
		t.StoreID = id
	} else {
		bad(first, "store", ErrStore, nil)
	}
	if v := get("staff"); v != "" {
		id, ok := k.places.staff[strings.ToLower(v)]
		if t.StaffID = id; !ok {
			bad(first, "staff", ErrStaff, nil)
		}
	}
	switch v := fold(get("type")); {
	case slices.Contains(returnWords, v):
		t.Return = true
	case v != "" && !slices.Contains(saleWords, v):
		bad(first, "type", orders.ErrType, nil)
	}
	var d *apperr.Definition
	if t.PlacedAt, d = k.instant(get("placed_at")); d != nil {
		bad(first, "placed_at", d, nil)
	}
	t.Customer, g.named = k.customer(get)
	if t.Customer == nil && g.named != "" {
		bad(first, g.named, orders.ErrID, nil)
	}
	if v := get("coupon_codes"); v != "" {
		t.CouponCodes = strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(",，;；|、 ", r) })
	}
	net := int64(0)
	for i := range rows {
		l := k.line(&rows[i], bad)
		t.Lines, g.lines = append(t.Lines, l), append(g.lines, g.from+i)
		amount := max(l.Quantity, -l.Quantity)*l.UnitPrice - l.Discount
		if l.Quantity < 0 {
			amount = -amount
		}
		net += amount
	}
	if v := get("total_amount"); v != "" {
		total, ok := k.amount(v)
		if t.Return && total < 0 {
			total = -total
		}
		switch {
		case !ok:
			bad(first, "total_amount", ErrAmount, nil)
		case total != net:
			bad(first, "total_amount", ErrTotal, map[string]any{"sum": money{net, k.digits}.String()})
		}
	}
	if method := get("payment_method"); method != "" {
		t.Payments = []orders.Payment{{Method: paymentWord(method), Amount: net}}
	}
	return t
}

// orderWide are the fields that an order has once.
var orderWide = []string{"placed_at", "channel", "type", "original_external_number", "currency", "staff", "customer_id", "customer_external_id", "customer_phone",
	"customer_card", "total_amount", "payment_method", "coupon_codes"}

// line reads the article of a row. Of price, discount and what the line comes to,
// what is missing follows from the others.
func (k *history) line(r *badRow, bad func(*badRow, string, *apperr.Definition, map[string]any)) orders.TicketLine {
	l := orders.TicketLine{SKU: k.cell(r.Cells, "sku"), Title: k.cell(r.Cells, "title"), Category: k.cell(r.Cells, "category")}
	var given [3]bool // price, discount, amount
	var amount int64
	for i, c := range []struct {
		field string
		into  *int64
	}{{"unit_price_amount", &l.UnitPrice}, {"discount_amount", &l.Discount}, {"line_amount", &amount}} {
		if v := k.cell(r.Cells, c.field); v != "" {
			if *c.into, given[i] = k.amount(v); !given[i] {
				bad(r, c.field, ErrAmount, nil)
				return l
			}
		}
	}
	quantity, ok := whole(k.cell(r.Cells, "quantity"))
	if !ok {
		bad(r, "quantity", orders.ErrQuantity, map[string]any{"max": 1_000_000})
		return l
	}
	l.Quantity = quantity
	if l.SKU == "" {
		bad(r, "sku", orders.ErrSKU, nil)
	}
	if quantity < 0 {
		amount = -amount
	}
	pieces := max(quantity, -quantity)
	if given[2] && amount < 0 {
		bad(r, "line_amount", ErrAmount, nil)
		return l
	}
	switch {
	case !given[0] && !given[2]:
		bad(r, "unit_price_amount", orders.ErrRequired, nil)
	case !given[0] && pieces > 0:
		gross := amount + l.Discount
		l.UnitPrice = (gross + pieces - 1) / pieces // what does not divide is a discount
		l.Discount = l.UnitPrice*pieces - amount
	case given[2] && l.UnitPrice >= 0 && l.UnitPrice <= maxUnitPrice && pieces <= maxPieces:
		sum := l.UnitPrice*pieces - l.Discount
		switch {
		case given[1] && sum != amount:
			bad(r, "line_amount", ErrTotal, map[string]any{"sum": money{sum, k.digits}.String()})
		case !given[1] && amount > sum:
			bad(r, "line_amount", ErrTotal, map[string]any{"sum": money{sum, k.digits}.String()})
		case !given[1]:
			l.Discount = sum - amount
		}
	}
	return l
}

// Bounds within which sums of a line cannot overflow; tickets have the same.
const (
	maxUnitPrice = 1_000_000_000
	maxPieces    = 1_000_000
	maxMoney     = math.MaxInt64 / 4 / maxPieces
)

// customer is whom an order names, by the first of the fields that says so.
func (k *history) customer(get func(string) string) (*customers.Ref, string) {
	for _, field := range []string{"customer_id", "customer_external_id", "customer_card", "customer_phone"} {
		v := get(field)
		if v == "" {
			continue
		}
		switch field {
		case "customer_id":
			id, err := uuid.Parse(v)
			if err != nil {
				return nil, field
			}
			return &customers.Ref{ID: id}, field
		case "customer_external_id":
			return &customers.Ref{ExternalID: v}, field
		case "customer_card":
			return &customers.Ref{CardNumber: v}, field
		}
		return &customers.Ref{Phone: phoneText(v)}, field
	}
	return nil, ""
}

func (k *history) keys(p *pending) []string {
	batch := p.work.(*historyWork)
	out := make([]string, len(batch.tickets))
	for i := range batch.tickets {
		t := &batch.tickets[i]
		out[i] = string(t.StoreID[:]) + strings.TrimSpace(t.Number)
	}
	return out
}

func (k *history) take(ctx context.Context, tx *db.Tx, p *pending) (err error) {
	batch := p.work.(*historyWork)
	batch.past, err = k.into.Take(ctx, tx, slices.Clone(batch.tickets))
	return err
}

func (k *history) settle(ctx context.Context, tx *db.Tx, run *crm.ImportRun, p *pending) (t tally, err error) {
	batch := p.work.(*historyWork)
	if err := k.into.Settle(ctx, tx, batch.past, run.ID); err != nil {
		return t, err
	}
	for _, g := range batch.groups {
		rows := p.rows[g.from:g.to]
		n := int64(len(rows))
		if g.ticket < 0 {
			t.bad = append(t.bad, rows...)
			continue
		}
		switch r := batch.past.Results[g.ticket]; r.Status {
		case orders.Created:
			t.created += n
			t.records++
		case orders.Duplicate:
			t.skipped += n
		default:
			rows = slices.Clone(rows) // the batch may be tried again
			k.blame(rows, &g, r.Err)
			leave(rows, ErrOrderLeft)
			t.bad = append(t.bad, rows...)
		}
	}
	return t, nil
}

// blame finds the cells that a ticket's error is about.
func (k *history) blame(rows []badRow, g *group, err *apperr.Error) {
	faults := err.Fields
	if len(faults) == 0 {
		faults = []apperr.Field{{Code: err.Def.Code}}
	}
	for _, f := range faults {
		r, field := &rows[0], strings.TrimPrefix(f.Pointer, "/")
		if line, of, ok := strings.Cut(strings.TrimPrefix(field, "lines/"), "/"); ok && field != line {
			if n, err := strconv.Atoi(line); err == nil && n < len(g.lines) {
				r, field = &rows[g.lines[n]-g.from], of
			}
		}
		switch first, _, _ := strings.Cut(field, "/"); {
		case k.json:
			field = strings.ReplaceAll(field, "/", ".")
		case first == "store_id":
			field = "store"
		case first == "staff_id":
			field = "staff"
		case first == "customer":
			field = g.named
		case first == "payments":
			field = "payment_method"
		default:
			field = first
		}
		args := f.Args
		if args == nil {
			args = err.Args
		}
		r.Faults = append(slices.Clone(r.Faults), cellFault{Column: k.at[field], Field: field, Code: f.Code, Args: args})
	}
}

func (k *history) finish(ctx context.Context) error { return k.into.Finish(ctx) }

var (
	moneySigns    = strings.NewReplacer("¥", "", "￥", "", "$", "", "€", "", "元", "", "CNY", "", "RMB", "", ",", "", "，", "", " ", "", "\u00a0", "")
	decimalNumber = regexp.MustCompile(`^([+-]?)([0-9]{1,15})(?:\.([0-9]*))?$`)
	clockTime     = regexp.MustCompile(`^(.+?)[T ]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?$`)
	compactTime   = regexp.MustCompile(`^((?:19|20)[0-9]{6})([0-9]{2})([0-9]{2})([0-9]{2})$`)
)

// amount reads an amount in the currency's major unit. A spreadsheet keeps binary
// fractions, whose last places say nothing.
func (k *history) amount(v string) (int64, bool) { return amountOf(v, k.digits, k.sheet) }

func amountOf(v string, digits int, sheet bool) (int64, bool) {
	m := decimalNumber.FindStringSubmatch(moneySigns.Replace(v))
	if m == nil {
		return 0, false
	}
	fraction := strings.TrimRight(m[3], "0")
	if len(fraction) > digits {
		if !sheet || len(fraction) < 8 {
			return 0, false
		}
		f, err := strconv.ParseFloat(m[2]+"."+fraction, 64)
		if err != nil {
			return 0, false
		}
		cut := strconv.FormatFloat(f, 'f', digits, 64)
		m[2], fraction, _ = strings.Cut(cut, ".")
	}
	n, err := strconv.ParseInt(m[2]+fraction+strings.Repeat("0", digits-min(digits, len(fraction))), 10, 64)
	if err != nil || n > maxMoney {
		return 0, false
	}
	if m[1] == "-" {
		n = -n
	}
	return n, true
}

// whole reads a whole number that is not zero, as spreadsheets write it too.
func whole(v string) (int64, bool) {
	v = strings.ReplaceAll(v, ",", "")
	if head, tail, cut := strings.Cut(v, "."); cut && strings.Trim(tail, "0") == "" {
		v = head
	}
	n, err := strconv.ParseInt(v, 10, 64)
	return n, err == nil && n >= -maxPieces && n <= maxPieces && n != 0
}

// instant reads a moment. Without an offset it is by the business's clocks; a day
// alone is its beginning.
func (k *history) instant(v string) (time.Time, *apperr.Definition) {
	if t, err := time.Parse(time.RFC3339, v); err == nil {
		return t, nil
	}
	if m := compactTime.FindStringSubmatch(v); m != nil {
		v = m[1] + " " + m[2] + ":" + m[3] + ":" + m[4]
	}
	seconds, text := 0, v
	if m := clockTime.FindStringSubmatch(v); m != nil {
		h, _ := strconv.Atoi(m[2])
		minute, _ := strconv.Atoi(m[3])
		s, _ := strconv.Atoi(m[4]) // empty is zero
		if h > 23 || minute > 59 || s > 59 {
			return time.Time{}, ErrMoment
		}
		seconds, text = h*3600+minute*60+s, m[1]
	} else if k.sheet && dayNumber.MatchString(v) {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return time.Time{}, ErrMoment
		}
		days, part := math.Modf(f)
		seconds, text = int(math.Round(part*86400)), strconv.Itoa(int(days))
	}
	d, bad := date(text, k.sheet)
	switch {
	case bad == ErrDate:
		return time.Time{}, ErrMoment
	case bad != nil:
		return time.Time{}, bad
	}
	if k.mac && dayNumber.MatchString(text) {
		d = d.AddDate(0, 0, 1462)
	}
	return time.Date(d.Year(), d.Month(), d.Day(), 0, 0, seconds, 0, k.zone), nil
}

var (
	saleWords   = []string{"sale", "order", "销售", "订单", "正常"}
	returnWords = []string{"return", "refund", "退货", "退款", "退单"}

	channelWords = map[string]string{"门店": "pos", "线下": "pos", "收银": "pos", "网店": "web", "官网": "web", "网站": "web", "小程序": "mini_program", "微信小程序": "mini_program",
		"平台": "marketplace", "电商平台": "marketplace", "直播": "live"}
	paymentWords = map[string]string{"现金": "cash", "银行卡": "card", "刷卡": "card", "微信": "wechat_pay", "微信支付": "wechat_pay", "wechat": "wechat_pay", "wechatpay": "wechat_pay",
		"支付宝": "alipay", "储值": "stored_value", "储值卡": "stored_value", "积分": "points", "其他": "other"}
)

func channelWord(v string) string {
	if word, ok := channelWords[fold(v)]; ok {
		return word
	}
	return strings.ToLower(v)
}

func paymentWord(v string) string {
	if word, ok := paymentWords[fold(v)]; ok {
		return word
	}
	return v
}
