package catalog

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/ianaindex"

	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Bounds of an ONIX message.
const (
	onixProducts = 500     // of a message
	onixDepth    = 24      // of elements below a product
	onixNodes    = 20_000  // of a product
	onixText     = 1 << 20 // bytes of a product
)

// Record is a product of an ONIX message.
type Record struct {
	Reference string // what the sender calls it
	BulkItem
}

// node is an element with the reference name of its tag, in lower case.
type node struct {
	name, text string
	kids       []node
}

func (n *node) all(name string) (out []*node) {
	for i := range n.kids {
		if n.kids[i].name == name {
			out = append(out, &n.kids[i])
		}
	}
	return out
}

// at walks down by the first element of each name; it is never nil.
func (n *node) at(names ...string) *node {
	for _, name := range names {
		found := n.all(name)
		if len(found) == 0 {
			return &node{}
		}
		n = found[0]
	}
	return n
}

func (n *node) value(names ...string) string {
	return strings.Join(strings.Fields(n.at(names...).text), " ")
}

// shortTags are the short names of what is read here, as ONIX 3.0 has them.
var shortTags = map[string]string{
	"a001": "recordreference", "a002": "notificationtype", "b221": "productidtype", "b244": "idvalue", "b012": "productform", "b202": "titletype",
	"x409": "titleelementlevel", "b203": "titletext", "b030": "titleprefix", "b031": "titlewithoutprefix", "b029": "subtitle", "x410": "partnumber",
	"b034": "sequencenumber", "b035": "contributorrole", "b036": "personname", "b037": "personnameinverted", "b039": "namesbeforekey", "b040": "keynames",
	"b047": "corporatename", "b253": "languagerole", "b252": "languagecode", "b067": "subjectschemeidentifier", "b171": "subjectschemename",
	"b069": "subjectcode", "b070": "subjectheadingtext", "b207": "audiencedescription", "x426": "texttype", "d104": "text", "b291": "publishingrole",
	"b081": "publishername", "x448": "publishingdaterole", "b306": "date", "x462": "pricetype", "j151": "priceamount", "j152": "currencycode",
}

// ReadONIX reads the products of an ONIX 3.0 message, with reference or with
// short tags. There are no entities but those of XML itself, and a document type
// is refused. Amounts are read in one currency, with its decimals. A record that
// cannot be a product of ours comes with its error.
//
// Errors: ErrONIX with the line, ErrONIXRelease, ErrONIXLarge.
func ReadONIX(r io.Reader, currency string, decimals int) ([]Record, error) {
	in := newONIXReader(r, currency, decimals)
	var out []Record
	for {
		record, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if len(out) == onixProducts {
			return nil, ErrONIXLarge.New().Arg("max", onixProducts)
		}
		out = append(out, *record)
	}
}

// ReadONIX begins to read a message of any length.
func (s *Service) ReadONIX(r io.Reader) *ONIXReader {
	return newONIXReader(r, s.currency, API{s}.decimals())
}

// ONIXReader reads a message product by product.
type ONIXReader struct {
	d        *xml.Decoder
	currency string
	decimals int
	inside   bool
}

func newONIXReader(r io.Reader, currency string, decimals int) *ONIXReader {
	d := xml.NewDecoder(r)
	d.CharsetReader = func(label string, in io.Reader) (io.Reader, error) {
		e, err := ianaindex.IANA.Encoding(label)
		if err != nil || e == nil {
			return nil, errors.New("unknown encoding")
		}
		return e.NewDecoder().Reader(in), nil
	}
	return &ONIXReader{d: d, currency: currency, decimals: decimals}
}

func (o *ONIXReader) malformed(err error) error {
	if apperr.From(err) != nil {
		return err
	}
	line, _ := o.d.InputPos()
	return ErrONIX.Wrap(err).Arg("line", line)
}

// Next is the next product; io.EOF after the last one. Errors: those of ReadONIX.
func (o *ONIXReader) Next() (*Record, error) {
	for {
		token, err := o.d.Token()
		if errors.Is(err, io.EOF) {
			if !o.inside {
				return nil, o.malformed(io.ErrUnexpectedEOF)
			}
			return nil, io.EOF
		}
		if err != nil {
			return nil, o.malformed(err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, o.malformed(errors.New("a document type"))
		case xml.StartElement:
			name := strings.ToLower(t.Name.Local)
			switch {
			case !o.inside && name == "onixmessage":
				o.inside = true
				for _, a := range t.Attr {
					if a.Name.Local == "release" && !strings.HasPrefix(a.Value, "3.") {
						return nil, ErrONIXRelease.New()
					}
				}
			case !o.inside:
				return nil, o.malformed(errors.New("no ONIX message"))
			case name == "product":
				p := &node{name: name}
				room := &bounds{onixNodes, onixText}
				if err := room.read(o.d, p, 1); err != nil {
					return nil, o.malformed(err)
				}
				out := record(p, o.currency, o.decimals)
				return &out, nil
			default:
				if err := o.d.Skip(); err != nil {
					return nil, o.malformed(err)
				}
			}
		}
	}
}

// bounds are how much of a product may still come.
type bounds struct{ nodes, text int }

var errONIXBounds = errors.New("a product is too large")

// read reads an element to its end.
func (b *bounds) read(d *xml.Decoder, into *node, depth int) error {
	if depth > onixDepth {
		return errONIXBounds
	}
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("a document type")
		case xml.CharData:
			if b.text -= len(t); b.text < 0 {
				return errONIXBounds
			}
			into.text += string(t)
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if b.nodes--; b.nodes < 0 {
				return errONIXBounds
			}
			name := strings.ToLower(t.Name.Local)
			if long := shortTags[name]; long != "" {
				name = long
			}
			into.kids = append(into.kids, node{name: name})
			kid := &into.kids[len(into.kids)-1]
			if err := b.read(d, kid, depth+1); err != nil {
				return err
			}
			if into.name == "text" || into.name == "p" {
				into.text += kid.text // text with marks of its own
			}
		}
	}
}

// Code lists of ONIX: 5 product identifiers, 17 contributors, 27 subjects, 150
// product forms, 74 languages.
var (
	onixRoles     = map[string]string{"A01": "author", "A02": "author", "A12": "illustrator", "A35": "illustrator", "B01": "editor", "B06": "translator", "C01": "compiler"}
	onixSubjects  = map[string]string{"10": "bisac", "12": "bic", "93": "thema"}
	onixForms     = map[string]string{"BA": "book", "BB": "hardback", "BC": "paperback", "BD": "loose-leaf", "BE": "spiral bound", "BH": "board book", "EA": "digital", "ED": "digital download"}
	onixLanguages = map[string]string{"chi": "zh", "zho": "zh", "eng": "en", "jpn": "ja", "kor": "ko", "fre": "fr", "fra": "fr", "ger": "de", "deu": "de", "spa": "es", "rus": "ru", "ita": "it"}
)

// record makes a product of one of ONIX.
func record(p *node, currency string, decimals int) Record {
	out := Record{Reference: clip(p.value("recordreference"), 100)}
	book := &schema.Book{}
	var code string
	for _, id := range p.all("productidentifier") {
		value := plainCode(id.value("idvalue"))
		switch id.value("productidtype") {
		case "15":
			book.ISBN13 = value
		case "02":
			book.ISBN10 = value
		case "03":
			code = value
		}
	}
	if isbn, ok := ParseISBN(code); ok && book.ISBN13 == "" {
		book.ISBN13 = isbn.Thirteen
	}
	in := &out.ProductInput
	in.Kind, in.Book, in.Source = "book", book, "import"
	detail := p.at("descriptivedetail")
	in.Title = onixTitle(detail)
	form := detail.value("productform")
	if book.Format = onixForms[form]; book.Format == "" {
		book.Format = clip(form, 64)
	}
	contributors := detail.all("contributor")
	slices.SortStableFunc(contributors, func(a, b *node) int {
		return onixNumber(a.value("sequencenumber")) - onixNumber(b.value("sequencenumber"))
	})
	for _, c := range contributors {
		name := c.value("personname")
		if name == "" {
			name = strings.TrimSpace(c.value("namesbeforekey") + " " + c.value("keynames"))
		}
		name = orElse(name, orElse(c.value("corporatename"), c.value("personnameinverted")))
		if name == "" || len(book.Contributors) == 50 {
			continue
		}
		book.Contributors = append(book.Contributors, schema.Contributor{Name: clip(name, 200), Role: orElse(onixRoles[c.value("contributorrole")], "other")})
	}
	for _, l := range detail.all("language") {
		if l.value("languagerole") == "01" && book.Language == "" {
			book.Language = clip(orElse(onixLanguages[l.value("languagecode")], l.value("languagecode")), 16)
		}
	}
	for _, s := range detail.all("subject") {
		scheme, code := s.value("subjectschemeidentifier"), s.value("subjectcode")
		name := strings.ToUpper(s.value("subjectschemename"))
		switch {
		case (strings.Contains(name, "CLC") || strings.Contains(name, "中图")) && CLC(code):
			book.CLCCode = orElse(book.CLCCode, clip(code, 40))
		case onixSubjects[scheme] != "" && code != "" && len(book.SubjectCodes) < 50:
			book.SubjectCodes = append(book.SubjectCodes, schema.SubjectCode{Scheme: onixSubjects[scheme], Code: clip(code, 64), Text: clip(s.value("subjectheadingtext"), 200)})
		case code == "" && s.value("subjectheadingtext") != "" && len(book.Subjects) < 50:
			book.Subjects = append(book.Subjects, clip(s.value("subjectheadingtext"), 100))
		}
	}
	book.Series, book.Volume = clip(onixTitle(detail.at("collection")), 200), clip(detail.value("collection", "titledetail", "titleelement", "partnumber"), 50)
	book.Audience = clip(detail.value("audiencedescription"), 100)
	for _, t := range p.at("collateraldetail").all("textcontent") {
		if t.value("texttype") == "03" && in.Description == "" {
			in.Description = clip(t.value("text"), 10_000)
		}
	}
	publishing := p.at("publishingdetail")
	for _, one := range publishing.all("publisher") {
		if role := one.value("publishingrole"); (role == "01" || role == "") && book.Publisher == "" {
			book.Publisher = clip(one.value("publishername"), 200)
		}
	}
	for _, one := range publishing.all("publishingdate") {
		if one.value("publishingdaterole") == "01" {
			book.PublishedOn = onixDate(one.value("date"))
		}
	}
	amount, priced := onixPrice(p, currency, decimals)
	out.NoPrice = !priced
	switch isbn, ok := ParseISBN(orElse(book.ISBN13, book.ISBN10)); {
	case p.value("notificationtype") == "05":
		out.Err = ErrONIXDelete.New()
	case !ok:
		out.Err = ErrISBN.At("/book/isbn13")
	default:
		book.ISBN13, book.ISBN10 = isbn.Thirteen, isbn.Ten
		in.Variants = []VariantInput{{SKU: isbn.Thirteen, Barcode: &book.ISBN13, PriceAmount: amount}}
	}
	return out
}

// onixTitle is the distinctive title below an element.
func onixTitle(n *node) string {
	details := n.all("titledetail")
	i := max(0, slices.IndexFunc(details, func(d *node) bool { return d.value("titletype") == "01" }))
	if len(details) == 0 {
		return ""
	}
	e := details[i].at("titleelement")
	title := e.value("titletext")
	if title == "" {
		title = strings.TrimSpace(e.value("titleprefix") + " " + e.value("titlewithoutprefix"))
	}
	if sub := e.value("subtitle"); sub != "" && title != "" {
		title += "：" + sub
	}
	return clip(title, 300)
}

// onixPrice is the price to consumers with tax, or else without, in a currency.
func onixPrice(p *node, currency string, decimals int) (amount int64, found bool) {
	best := ""
	for _, supply := range p.all("productsupply") {
		for _, detail := range supply.all("supplydetail") {
			for _, price := range detail.all("price") {
				kind := price.value("pricetype")
				if price.value("currencycode") != currency || kind != "02" && kind != "01" || best == "02" {
					continue
				}
				if n, ok := onixAmount(price.value("priceamount"), decimals); ok {
					amount, found, best = n, true, kind
				}
			}
		}
	}
	return amount, found
}

// onixAmount reads a decimal number in minor units, up to ten million of the
// main unit.
func onixAmount(text string, decimals int) (int64, bool) {
	whole, part, _ := strings.Cut(text, ".")
	if whole == "" || len(whole) > 8 || len(part) > 6 || !digits(whole) || !digits(part) {
		return 0, false
	}
	if len(part) > decimals {
		if strings.Trim(part[decimals:], "0") != "" {
			return 0, false // fractions of what there is
		}
		part = part[:decimals]
	}
	n, err := strconv.ParseInt(whole+part+strings.Repeat("0", decimals-len(part)), 10, 64)
	return n, err == nil && n <= 1_000_000_000
}

func onixDate(text string) string {
	if !digits(text) {
		return ""
	}
	switch len(text) {
	case 8:
		return text[:4] + "-" + text[4:6] + "-" + text[6:]
	case 6:
		return text[:4] + "-" + text[4:]
	case 4:
		return text
	}
	return ""
}

func onixNumber(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 1 << 20
	}
	return n
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}
