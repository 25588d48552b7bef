package main

import (
	"compress/gzip"
	"embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed data/online_retail.csv.gz data/books.csv.gz
var data embed.FS

// line is one row of the retailer's history. Amounts are in minor units; GBP
// is taken as yuan one to one.
type line struct {
	row         int // 1 is the first row under the header
	invoice     string
	sku         string
	description string
	quantity    int64
	at          time.Time
	unitPrice   int64
	customer    string // empty for anonymous
	country     string
	rule        string // cleaning rule that kept the line out, empty when loaded
}

func (l line) amount() int64 { return l.quantity * l.unitPrice }

// Cleaning rules, first match wins. What a rule keeps out is counted and
// listed, never dropped silently.
const (
	ruleDuplicate = "exact duplicate of an earlier line"
	ruleService   = "not merchandise (postage, charges, manual entries, discounts)"
	ruleZero      = "zero price (samples, stock adjustments)"
)

var rules = []string{ruleDuplicate, ruleService, ruleZero}

// readHistory reads all rows, with dates moved by whole weeks so that the last
// invoice falls within the seven days before now.
func readHistory(now time.Time, loc *time.Location) ([]line, error) {
	rows, err := readCSV("data/online_retail.csv.gz")
	if err != nil {
		return nil, err
	}
	lines := make([]line, 0, len(rows))
	var last time.Time
	titles := map[string]string{}
	seen := map[string]bool{}
	for i, r := range rows {
		l := line{row: i + 1, invoice: r[0], sku: strings.ToUpper(strings.TrimSpace(r[1])), description: strings.Join(strings.Fields(r[2]), " "), customer: r[6], country: r[7]}
		if l.quantity, err = strconv.ParseInt(r[3], 10, 64); err != nil {
			return nil, fmt.Errorf("row %d: quantity: %w", l.row, err)
		}
		if l.at, err = time.ParseInLocation(time.DateTime, r[4], loc); err != nil {
			return nil, fmt.Errorf("row %d: date: %w", l.row, err)
		}
		if l.unitPrice, err = minorUnits(r[5]); err != nil {
			return nil, fmt.Errorf("row %d: price: %w", l.row, err)
		}
		whole := strings.Join(r, "\x00")
		switch {
		case seen[whole]:
			l.rule = ruleDuplicate
		case !merchandise(l.sku):
			l.rule = ruleService
		case l.unitPrice == 0:
			l.rule = ruleZero
		}
		seen[whole] = true
		if l.description != "" && titles[l.sku] == "" {
			titles[l.sku] = l.description
		}
		last = maxTime(last, l.at)
		lines = append(lines, l)
	}
	weeks := int(now.Sub(last) / (7 * 24 * time.Hour))
	for i := range lines {
		lines[i].at = lines[i].at.AddDate(0, 0, 7*weeks)
		if lines[i].description == "" {
			lines[i].description = titles[lines[i].sku] // still empty: the till's SKU serves as title
		}
	}
	return lines, nil
}

// merchandise tells goods from postage, charges and manual entries: goods have
// a five-digit stock code, or are dotcomgiftshop articles or gift vouchers.
func merchandise(sku string) bool {
	if strings.HasPrefix(sku, "DCGS") || strings.HasPrefix(sku, "GIFT_") {
		return true
	}
	return len(sku) >= 5 && strings.Trim(sku[:5], "0123456789") == ""
}

// minorUnits turns "-11062.06" into -1106206 without floating point.
func minorUnits(s string) (int64, error) {
	whole, cents, _ := strings.Cut(s, ".")
	if len(cents) > 2 {
		return 0, fmt.Errorf("more than two decimals: %q", s)
	}
	return strconv.ParseInt(whole+(cents + "00")[:2], 10, 64)
}

// ticket is one invoice as a till would send it.
type ticket struct {
	StoreID        string            `json:"store_id"`
	ExternalNumber string            `json:"external_number"`
	Type           string            `json:"type"`
	PlacedAt       time.Time         `json:"placed_at"`
	Customer       map[string]string `json:"customer,omitempty"`
	Lines          []ticketLine      `json:"lines"`
}

type ticketLine struct {
	SKU             string `json:"sku"`
	Title           string `json:"title,omitempty"`
	Category        string `json:"category,omitempty"`
	Quantity        int64  `json:"quantity"`
	UnitPriceAmount int64  `json:"unit_price_amount"`
}

// tickets groups the loaded lines by invoice, in the order of the file.
// Invoices whose number begins with C are returns. A few invoices carry two
// adjacent minutes; the first counts.
func tickets(lines []line, store func(line) string) []ticket {
	var out []ticket
	index := map[string]int{}
	for _, l := range lines {
		if l.rule != "" {
			continue
		}
		i, ok := index[l.invoice]
		if !ok {
			t := ticket{StoreID: store(l), ExternalNumber: l.invoice, Type: "sale", PlacedAt: l.at.UTC()}
			if strings.HasPrefix(l.invoice, "C") {
				t.Type = "return"
			}
			if l.customer != "" {
				t.Customer = map[string]string{"external_id": externalID(l.customer)}
			}
			i = len(out)
			index[l.invoice] = i
			out = append(out, t)
		}
		out[i].Lines = append(out[i].Lines, ticketLine{l.sku, l.description, category(l.description), l.quantity, l.unitPrice})
	}
	return out
}

func externalID(customer string) string { return "OR-" + customer }

// categories are found by the first word that fits a title: the sample has none.
var categories = []struct{ name, words string }{
	{"圣诞 Christmas", "CHRISTMAS ADVENT SANTA REINDEER XMAS"},
	{"包袋 Bags", "BAG PURSE SHOPPER WALLET"},
	{"餐厨 Kitchen", "MUG CUP PLATE BOWL TEA CAKE JAM KITCHEN BAKING SPOON LUNCH BOTTLE TRAY JAR TIN APRON GLASS"},
	{"灯烛 Lights and candles", "LIGHT LIGHTS CANDLE CANDLES LANTERN T-LIGHT HOLDER LAMP"},
	{"文具 Stationery", "CARD CARDS WRAP PAPER NOTEBOOK PENCIL PENCILS PEN STICKERS RIBBON RIBBONS TISSUE"},
	{"玩具 Toys", "TOY GAME GAMES PUZZLE DOLL BALLOONS PLAYHOUSE SKITTLES DOMINOES CHILDRENS SOLDIER"},
	{"首饰 Jewellery", "NECKLACE BRACELET EARRINGS RING CHARM HAIR BROOCH"},
	{"家居 Home", ""},
}

func category(title string) string {
	words := strings.Fields(strings.ToUpper(title))
	for _, c := range categories {
		for want := range strings.FieldsSeq(c.words) {
			if slices.Contains(words, want) {
				return c.name
			}
		}
	}
	return categories[len(categories)-1].name
}

func readCSV(name string) ([][]string, error) {
	f, err := data.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(z)
	if _, err := r.Read(); err != nil {
		return nil, err
	}
	return r.ReadAll()
}

func maxTime(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
