package catalog

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/pricelist"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// ISBN is an International Standard Book Number in both its forms.
type ISBN struct {
	Thirteen string // 13 digits, prefix 978 or 979
	Ten      string // empty for prefix 979, which has no short form
}

// ParseISBN reads an ISBN of 10 or 13 characters; hyphens and blanks do not
// count. It reports false for a wrong length, prefix or check digit, and for
// other barcodes (GTIN 69x is no ISBN).
func ParseISBN(text string) (ISBN, bool) {
	s := strings.NewReplacer("-", "", " ", "", "‐", "", "–", "").Replace(text)
	switch len(s) {
	case 13:
		if !digits(s) || (s[:3] != "978" && s[:3] != "979") || check13(s[:12]) != s[12] {
			return ISBN{}, false
		}
		if s[:3] == "979" {
			return ISBN{Thirteen: s}, true
		}
		return ISBN{Thirteen: s, Ten: s[3:12] + string(check10(s[3:12]))}, true
	case 10:
		s = strings.ToUpper(s)
		if !digits(s[:9]) || check10(s[:9]) != s[9] {
			return ISBN{}, false
		}
		long := "978" + s[:9]
		return ISBN{Thirteen: long + string(check13(long)), Ten: s}, true
	}
	return ISBN{}, false
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// check13 is the digit that makes the sum with weights 1,3,1,3,… a multiple of 10.
func check13(twelve string) byte {
	sum := 0
	for i := range 12 {
		weight := 1 + 2*(i%2)
		sum += weight * int(twelve[i]-'0')
	}
	return byte('0' + (10-sum%10)%10)
}

// check10 is the character that makes the sum with weights 10…1 a multiple of
// 11; ten is written X.
func check10(nine string) byte {
	sum := 0
	for i := range 9 {
		sum += (10 - i) * int(nine[i]-'0')
	}
	c := (11 - sum%11) % 11
	if c == 10 {
		return 'X'
	}
	return byte('0' + c)
}

// clcTop are the 22 top classes of the Chinese Library Classification.
const clcTop = "ABCDEFGHIJKNOPQRSTUVXZ"

// CLC reports whether a code may be one of the Chinese Library Classification:
// a top class, a second letter only below T, then digits and the signs of its
// auxiliary tables.
func CLC(code string) bool {
	if code == "" || !strings.Contains(clcTop, code[:1]) {
		return false
	}
	rest := code[1:]
	if code[0] == 'T' && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' {
		rest = rest[1:]
	}
	if rest == "" {
		return true
	}
	if rest[0] < '0' || rest[0] > '9' {
		return rest[0] == '-' || rest[0] == '/'
	}
	return strings.Trim(rest, "0123456789.-/()=+:\"<>[]&aABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// completeBook checks a book's fields and completes its ISBNs: of the two
// forms one is enough. Pointers are relative to base ("/book").
func completeBook(b *schema.Book, base string) error {
	var found [2]ISBN
	for i, f := range []struct{ text, name string }{{b.ISBN13, "isbn13"}, {b.ISBN10, "isbn10"}} {
		if f.text == "" {
			continue
		}
		isbn, ok := ParseISBN(f.text)
		if !ok || (i == 0) != (len(strings.NewReplacer("-", "", " ", "").Replace(f.text)) == 13) {
			return invalid(base+"/"+f.name, ErrISBN)
		}
		found[i] = isbn
	}
	switch long, short := found[0], found[1]; {
	case long.Thirteen != "" && short.Thirteen != "" && long != short:
		return invalid(base+"/isbn10", ErrISBNsDiffer)
	case long.Thirteen != "":
		b.ISBN13, b.ISBN10 = long.Thirteen, long.Ten
	case short.Thirteen != "":
		b.ISBN13, b.ISBN10 = short.Thirteen, short.Ten
	}
	if b.PublishedOn != "" {
		if _, err := time.Parse(time.DateOnly[:len(b.PublishedOn)], b.PublishedOn); err != nil {
			return invalid(base+"/published_on", ErrPublishedOn)
		}
	}
	if b.CLCCode != "" && !CLC(b.CLCCode) {
		return invalid(base+"/clc_code", ErrCLC)
	}
	completeContributors(b)
	return nil
}

// checkKind refuses the part of another kind.
func checkKind(kind string, book, apparel bool) error {
	if book && kind != "book" {
		return invalid("/book", ErrKindMismatch)
	}
	if apparel && kind != "apparel" {
		return invalid("/apparel", ErrKindMismatch)
	}
	return nil
}

// repeated finds the first SKU that was given before, or -1.
func repeated(skus []string) int {
	seen := make(map[string]bool, len(skus))
	for i, s := range skus {
		if seen[s] {
			return i
		}
		seen[s] = true
	}
	return -1
}

// invalid is a refusal of one field.
func invalid(pointer string, d *apperr.Definition) error { return d.At(pointer) }

// reaches tells whether a counts rather than b for a quantity, both of one list.
func reaches(a, b *commerce.PriceListEntry, quantity int64) bool {
	if aHolds, bHolds := a.MinQuantity <= quantity, b.MinQuantity <= quantity; aHolds != bHolds {
		return aHolds
	} else if !aHolds {
		return a.MinQuantity < b.MinQuantity // what is nearest to being reached
	}
	return a.MinQuantity > b.MinQuantity
}

// outcome is why a list's price does not hold here, or empty if it does.
func outcome(l *commerce.PriceList, e *commerce.PriceListEntry, quantity int64, at PriceContext) string {
	switch {
	case l.Status != pricelist.StatusActive:
		return "inactive"
	case l.StartsAt != nil && at.At.Before(*l.StartsAt):
		return "not_yet"
	case l.EndsAt != nil && !at.At.Before(*l.EndsAt):
		return "ended"
	case l.StoreID != nil && *l.StoreID != at.StoreID:
		return "other_store"
	case l.Channel != nil && string(*l.Channel) != at.Channel:
		return "other_channel"
	case l.Tier != nil && *l.Tier != at.Tier:
		return "other_tier"
	case e.MinQuantity > quantity:
		return "quantity"
	}
	return ""
}

// asks is how many conditions a list names.
func asks(l *commerce.PriceList) (n int) {
	for _, named := range []bool{l.StoreID != nil, l.Channel != nil, l.Tier != nil} {
		if named {
			n++
		}
	}
	return n
}

// byRank orders the lists that hold before the others, each by what decides
// between them.
func byRank(a, b Considered) int {
	holds := func(c Considered) int {
		if c.Outcome == "won" || c.Outcome == "outranked" {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(holds(a), holds(b)), cmp.Compare(b.List.Priority, a.List.Priority), cmp.Compare(asks(b.List), asks(a.List)),
		cmp.Compare(a.Entry.PriceAmount, b.Entry.PriceAmount), bytes.Compare(a.List.ID[:], b.List.ID[:]))
}

// mayFollow tells whether a list may pass from one state to another: it is a
// draft only until it is first put in force.
func mayFollow(from, to pricelist.Status) bool { return from == to || to != pricelist.StatusDraft }

// sizeNames are how an option is called that holds sizes.
var sizeNames = []string{"size", "尺码", "尺寸"}

// layOut makes the matrix of a product; labels are the order of its sizes.
func layOut(p *commerce.Product, labels []string) *Matrix {
	out := &Matrix{Product: p, Cells: map[[2]string][]*commerce.Variant{}}
	options := slices.Clone(p.Options)
	for i, o := range options {
		if !slices.Contains(sizeNames, strings.ToLower(o.Name)) {
			continue
		}
		options[i].Values = slices.Clone(o.Values)
		slices.SortStableFunc(options[i].Values, func(a, b schema.OptionValue) int {
			return cmp.Compare(place(labels, a.Value), place(labels, b.Value))
		})
		if i == 0 && len(options) > 1 {
			options[0], options[1] = options[1], options[0] // sizes run across
		}
		break
	}
	if len(options) > 0 {
		out.Rows = options[0]
	}
	if len(options) > 1 {
		out.Columns = &options[1]
	}
	for _, v := range p.Edges.Variants {
		if v.OptionKey == nil {
			continue
		}
		at := [2]string{v.Options[out.Rows.Name], ""}
		if out.Columns != nil {
			at[1] = v.Options[out.Columns.Name]
		}
		out.Cells[at] = append(out.Cells[at], v)
	}
	return out
}

// place is where a size stands in its system; those it does not know come last,
// in the order of the product.
func place(labels []string, size string) int {
	if i := slices.Index(labels, size); i >= 0 {
		return i
	}
	return len(labels)
}

// completeApparel checks the clothing part. Pointers are relative to base
// ("/apparel").
func completeApparel(a *schema.Apparel, base string) error {
	for i, c := range a.Colours {
		if slices.ContainsFunc(a.Colours[:i], func(o schema.Colour) bool { return o.Name == c.Name }) {
			return invalid(base+"/colours/"+strconv.Itoa(i)+"/name", ErrOptionRepeated)
		}
	}
	if a.SizeChart == nil {
		return nil
	}
	for i, r := range a.SizeChart.Rows {
		at := base + "/size_chart/rows/" + strconv.Itoa(i)
		if len(r.Values) != len(a.SizeChart.Columns) {
			return invalid(at+"/values", ErrSizeChart)
		}
		if slices.ContainsFunc(a.SizeChart.Rows[:i], func(o schema.SizeRow) bool { return o.Size == r.Size }) {
			return invalid(at+"/size", ErrSizeRepeated)
		}
	}
	return nil
}

// completeContributors has authors and contributors say the same: contributors
// count, if there are any.
func completeContributors(b *schema.Book) {
	if len(b.Contributors) == 0 {
		for _, a := range b.Authors {
			b.Contributors = append(b.Contributors, schema.Contributor{Name: a, Role: "author"})
		}
		return
	}
	b.Authors = nil
	for _, c := range b.Contributors {
		if c.Role == "author" && !slices.Contains(b.Authors, c.Name) {
			b.Authors = append(b.Authors, c.Name)
		}
	}
}
