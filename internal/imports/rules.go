package imports

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// synonyms are how headers name a field, in their folded form (see fold). The
// field's own name is one too.
var synonyms = map[string][]string{
	"external_id":         {"外部编号", "外部id", "客户编号", "顾客编号", "会员编号", "会员id", "客户id", "customerid", "customerno", "customernumber", "memberid", "externalid", "id", "编号"},
	"name":                {"姓名", "名字", "客户姓名", "顾客姓名", "会员姓名", "客户名称", "真实姓名", "收货人", "fullname", "customername", "membername", "realname"},
	"phone":               {"手机", "手机号", "手机号码", "电话", "电话号码", "联系电话", "联系方式", "移动电话", "会员手机", "mobile", "mobilephone", "cell", "cellphone", "tel", "telephone", "phonenumber", "mobilenumber"},
	"email":               {"邮箱", "电子邮箱", "电子邮件", "邮件", "邮箱地址", "mail", "emailaddress"},
	"card_number":         {"卡号", "会员卡", "会员卡号", "会员号", "card", "cardno", "cardnumber", "membershipnumber", "membershipno", "membercard"},
	"gender":              {"性别", "sex"},
	"birth_date":          {"生日", "出生日期", "出生年月日", "出生年月", "birthday", "dateofbirth", "dob", "birthdate", "born"},
	"language":            {"语言", "lang", "locale"},
	"source":              {"来源", "来源渠道", "渠道", "channel"},
	"lifecycle_stage":     {"生命周期", "生命周期阶段", "阶段", "stage"},
	"home_store":          {"门店", "所属门店", "归属门店", "门店编码", "门店编号", "店铺", "店号", "store", "storecode", "homestore", "shop"},
	"assigned_staff":      {"导购", "专属导购", "归属导购", "所属导购", "店员", "assistant", "salesperson", "staff", "assignedstaff", "owner"},
	"tags":                {"标签", "客户标签", "会员标签", "tag", "labels"},
	"address.country":     {"国家", "country"},
	"address.region":      {"省", "省份", "省市", "province", "state", "region"},
	"address.city":        {"市", "城市", "city"},
	"address.district":    {"区", "区县", "县", "district", "county"},
	"address.line1":       {"地址", "详细地址", "收货地址", "通讯地址", "家庭地址", "住址", "address", "address1", "addressline1", "street"},
	"address.line2":       {"地址2", "address2", "addressline2"},
	"address.postal_code": {"邮编", "邮政编码", "zip", "zipcode", "postcode", "postalcode"},
}

// fold makes headers comparable: width, case, blanks and punctuation aside, and
// without a note in brackets.
func fold(header string) string {
	if i := strings.IndexAny(header, "(（[【"); i > 0 {
		header = header[:i]
	}
	return strings.Map(func(r rune) rune {
		if r >= 0xff01 && r <= 0xff5e {
			r -= 0xfee0
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, header)
}

// customPrefix begins the name of a field that the business has defined.
const customPrefix = "custom_fields."

// customFields are the fields that the business has defined and the uploader
// may change.
type customFields []customers.FileField

func (fs customFields) known(name string) bool {
	return slices.ContainsFunc(fs, func(f customers.FileField) bool { return customPrefix+f.Key == name })
}

// headers are how columns name the fields, in folded form: key and labels.
func (fs customFields) headers() map[string][]string {
	out := map[string][]string{}
	for _, f := range fs {
		name := customPrefix + f.Key
		for _, h := range []string{name, f.Key, f.Labels.ZH, f.Labels.EN} {
			if h = fold(h); h != "" && !slices.Contains(out[h], name) {
				out[h] = append(out[h], name)
			}
		}
	}
	return out
}

// Column is a column of a file and what is thought to be in it.
type Column struct {
	Number    int      `json:"number"` // from 1
	Header    string   `json:"header"`
	Field     string   `json:"field,omitempty"` // suggested
	Ambiguous bool     `json:"ambiguous,omitempty"`
	Samples   []string `json:"samples"` // masked
}

// suggest looks at the headers and at the first values. A field that several
// columns claim, a header that names several fields, and one that occurs twice,
// are for a person to decide. A label counts for nothing where another column
// names its field by the key.
func suggest(header []string, first [][]string, as *layout) []Column {
	columns := make([]Column, len(header))
	custom := as.custom.headers()
	byField, byHeader := map[string][]int{}, map[string]int{}
	for i, h := range header {
		h = strings.TrimSpace(h)
		var values []string
		for _, r := range first {
			if i < len(r) {
				if v := strings.TrimSpace(r[i]); v != "" {
					values = append(values, v)
				}
			}
		}
		field := as.headers[fold(h)]
		if as.refine != nil {
			field = as.refine(field, values)
		}
		own := slices.DeleteFunc(slices.Clone(custom[fold(h)]), func(name string) bool { return name != h && slices.Contains(header, name) })
		doubtful := false
		switch {
		case field == "" && len(own) > 0:
			field, doubtful = own[0], len(own) > 1
		case as.looks:
			looks := looksLike(values)
			doubtful = contradicted(field, looks, values) || len(own) > 0
			if field == "" {
				field = looks
			}
		}
		columns[i] = Column{Number: i + 1, Header: clip(h, 100), Field: field, Ambiguous: doubtful, Samples: []string{}}
		if field != "" {
			byField[field] = append(byField[field], i)
		}
		if h != "" {
			byHeader[h]++
		}
		for _, v := range values[:min(3, len(values))] {
			columns[i].Samples = append(columns[i].Samples, as.sample(field, v))
		}
	}
	for _, claimed := range byField {
		for _, i := range claimed {
			columns[i].Ambiguous = columns[i].Ambiguous || len(claimed) > 1
		}
	}
	for i := range columns {
		if byHeader[columns[i].Header] > 1 {
			columns[i].Ambiguous = true
		}
	}
	return columns
}

// looksLike tells what values are by themselves: only what is unmistakable.
func looksLike(values []string) string {
	if len(values) < 3 {
		return ""
	}
	for _, kind := range []struct {
		field string
		is    func(string) bool
	}{
		{"phone", func(v string) bool {
			p, err := pii.ParsePhone(phoneText(v), "")
			return err == nil && p.Kind == pii.PhoneMobile
		}},
		{"email", func(v string) bool { _, err := pii.NormalizeEmail(v); return err == nil && strings.Contains(v, "@") }},
	} {
		good := 0
		for _, v := range values {
			if kind.is(v) {
				good++
			}
		}
		if good*10 >= len(values)*9 {
			return kind.field
		}
	}
	return ""
}

// contradicted reports a header that its values give the lie: phone numbers
// under "name", names under "phone". An id or a card number may be a phone number.
func contradicted(field, looks string, values []string) bool {
	switch field {
	case "name", "gender", "birth_date", "language", "tags":
		return looks != ""
	case "phone", "email":
		if looks != "" || len(values) < 3 {
			return looks != "" && looks != field
		}
		return !slices.ContainsFunc(values, func(v string) bool {
			return field == "email" && strings.Contains(v, "@") || field == "phone" && strings.IndexFunc(v, unicode.IsDigit) >= 0
		})
	}
	return false
}

// sample shows a value of a column as far as the kind of file allows.
func (l *layout) sample(field, v string) string {
	if field != "" && l.shown(field) {
		return clip(v, 60)
	}
	return masked(strings.TrimPrefix(field, "customer_"), v)
}

// masked shows a sample without giving anybody away. What is in a column that
// nobody knows may be anything, so all of it but the ends is hidden.
func masked(field, v string) string {
	switch field {
	case "gender", "language", "source", "lifecycle_stage", "home_store", "tags", "address.country", "address.region", "address.city", "address.district", "card_number", "external_id":
		return clip(v, 60)
	case "name":
		return pii.MaskName(clip(v, 64))
	case "phone":
		if p, err := pii.ParsePhone(phoneText(v), ""); err == nil {
			return pii.MaskPhone(p.E164)
		}
	case "email":
		if e, err := pii.NormalizeEmail(v); err == nil {
			return pii.MaskEmail(e.Address)
		}
	case "birth_date":
		if d, bad := date(v, true); bad == nil {
			return d.Format("2006") + "-**-**"
		}
	}
	r := []rune(clip(v, 60))
	if len(r) < 4 {
		return strings.Repeat("*", len(r))
	}
	return string(r[0]) + strings.Repeat("*", len(r)-2) + string(r[len(r)-1])
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) > n {
		return string(r[:n])
	}
	return s
}

// Mapping says which field each column fills; columns count from 1.
type Mapping map[int]string

// MappingEntry is one line of a mapping as asked for: a column by number or by
// its header.
type MappingEntry struct {
	Column int
	Header string
	Field  string
}

// resolveMapping holds what was asked for against the file.
func resolveMapping(asked []MappingEntry, columns []Column, as *layout) (Mapping, error) {
	m := Mapping{}
	taken := map[string]bool{}
	for i, e := range asked {
		at := "/mapping/" + strconv.Itoa(i)
		number := e.Column
		if e.Header != "" {
			number = 0
			for _, c := range columns {
				if strings.EqualFold(c.Header, strings.TrimSpace(e.Header)) {
					if number != 0 {
						return nil, ErrHeader.At(at + "/header")
					}
					number = c.Number
				}
			}
		}
		if number < 1 || number > len(columns) || m[number] != "" {
			return nil, ErrMapping.At(at)
		}
		if !as.known(e.Field) || taken[e.Field] {
			return nil, ErrMapping.At(at + "/field")
		}
		m[number], taken[e.Field] = e.Field, true
	}
	if len(m) == 0 {
		return nil, ErrMapping.At("/mapping")
	}
	return m, nil
}

// suggested is the mapping that nobody has to decide about; certain tells
// whether it covers every column that seems to matter.
func suggested(columns []Column) (m Mapping, certain bool) {
	m, certain = Mapping{}, true
	for _, c := range columns {
		switch {
		case c.Ambiguous && c.Field != "":
			certain = false
		case c.Field != "" && !c.Ambiguous:
			m[c.Number] = c.Field
		}
	}
	return m, certain && len(m) > 0
}

// places are the stores and staff that a row may name.
type places struct {
	stores map[string]uuid.UUID // by folded code, and by id
	staff  map[string]uuid.UUID
}

// cellFault is one thing wrong with a row.
type cellFault struct {
	Column int            `json:"column,omitempty"` // from 1; 0 for the row as a whole
	Field  string         `json:"field,omitempty"`
	Code   string         `json:"code"`
	Args   map[string]any `json:"args,omitempty"`
}

// converter turns rows into customers.
type converter struct {
	mapping Mapping
	columns []int // mapped, ascending
	want    int   // columns of the header
	sheet   bool  // spreadsheet: numbers may be days
	mac     bool  // and are counted from 1904
	places  places
	source  string
}

func newConverter(m Mapping, want int, sheet bool, p places) *converter {
	c := &converter{mapping: m, want: want, sheet: sheet, places: p, source: "import"}
	for n := range m {
		c.columns = append(c.columns, n)
	}
	slices.Sort(c.columns)
	return c
}

// convert reads one row; an empty cell says nothing about its field.
func (c *converter) convert(r *row) (in customers.Input, faults []cellFault) {
	if d := r.faults[wholeRow]; d != nil {
		return in, []cellFault{{Code: d.Code}}
	}
	if r.ragged && raggedRow(r.cells, c.want) {
		return in, []cellFault{{Code: ErrRagged.Code, Args: map[string]any{"have": len(r.cells), "want": c.want}}}
	}
	in.Source = &c.source
	var address customers.Address
	hasAddress := false
	for _, number := range c.columns {
		if number > len(r.cells) {
			continue
		}
		field := c.mapping[number]
		text := clean(r.cells[number-1])
		bad := r.faults[number-1]
		if bad == nil && text == "" {
			continue
		}
		if bad == nil && r.ragged && strings.HasPrefix(strings.TrimSpace(r.cells[number-1]), "=") {
			bad = ErrFormula // of CSV, where only an apostrophe makes it a text
		}
		if bad == nil {
			if part := addressPart(&address, field); part != nil {
				*part, hasAddress = text, true
			} else {
				bad = c.set(&in, field, text)
			}
		}
		if bad != nil {
			faults = append(faults, cellFault{Column: number, Field: field, Code: bad.Code})
		}
	}
	if hasAddress {
		address.Country = country(address.Country)
		in.Address = nullable.NewNullableWithValue(address)
	}
	return in, faults
}

// raggedRow reports a row whose cells may have moved against the header.
func raggedRow(cells []string, want int) bool {
	if len(cells) < want {
		return true
	}
	return slices.ContainsFunc(cells[want:], func(v string) bool { return strings.TrimSpace(v) != "" })
}

// clean trims, and takes off the apostrophe by which spreadsheets and our own
// exports keep a text from being calculated.
func clean(v string) string {
	v = strings.TrimFunc(v, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b' })
	if len(v) > 1 && v[0] == '\'' && strings.ContainsRune("=+-@0123456789", rune(v[1])) {
		v = strings.TrimSpace(v[1:])
	}
	return v
}

func addressPart(a *customers.Address, field string) *string {
	switch field {
	case "address.country":
		return &a.Country
	case "address.region":
		return &a.Region
	case "address.city":
		return &a.City
	case "address.district":
		return &a.District
	case "address.line1":
		return &a.Line1
	case "address.line2":
		return &a.Line2
	case "address.postal_code":
		return &a.PostalCode
	}
	return nil
}

func country(v string) string {
	switch fold(v) {
	case "中国", "中国大陆", "中华人民共和国", "china", "cn", "prc":
		return "CN"
	}
	if len(v) == 2 {
		return strings.ToUpper(v)
	}
	return v
}

func (c *converter) set(in *customers.Input, field, v string) *apperr.Definition {
	text := nullable.NewNullableWithValue(v)
	switch field {
	case "external_id":
		in.ExternalID = text
	case "name":
		in.Name = text
	case "phone":
		if rounded.MatchString(v) {
			return ErrRounded
		}
		in.Phone = nullable.NewNullableWithValue(phoneText(v))
	case "email":
		in.Email = text
	case "card_number":
		if rounded.MatchString(v) {
			return ErrRounded
		}
		in.CardNumber = text
	case "gender":
		g, ok := genderWords[fold(v)]
		if !ok {
			return ErrGender
		}
		in.Gender = &g
	case "birth_date":
		d, bad := date(v, c.sheet)
		if bad != nil {
			return bad
		}
		if c.mac && dayNumber.MatchString(v) {
			d = d.AddDate(0, 0, 1462)
		}
		in.BirthDate = nullable.NewNullableWithValue(d)
	case "language":
		in.Language = &v
	case "source":
		in.Source = &v
	case "lifecycle_stage":
		v = strings.ToLower(v)
		in.LifecycleStage = &v
	case "home_store":
		id, ok := c.places.stores[strings.ToLower(v)]
		if !ok {
			return ErrStore
		}
		in.HomeStoreID = nullable.NewNullableWithValue(id)
	case "assigned_staff":
		id, ok := c.places.staff[strings.ToLower(v)]
		if !ok {
			return ErrStaff
		}
		in.AssignedStaffID = nullable.NewNullableWithValue(id)
	case "tags":
		names := strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(",，;；|、", r) })
		in.Tags = &names
	default:
		if in.CustomFields == nil {
			in.CustomFields = &map[string]any{}
		}
		(*in.CustomFields)[strings.TrimPrefix(field, customPrefix)] = customers.Cell{Text: v, Day: c.day}
	}
	return nil
}

// day reads a date of this file.
func (c *converter) day(v string) (time.Time, bool) {
	d, bad := date(v, c.sheet)
	if bad == nil && c.mac && dayNumber.MatchString(v) {
		d = d.AddDate(0, 0, 1462)
	}
	return d, bad == nil
}

var (
	rounded    = regexp.MustCompile(`^[0-9](\.[0-9]+)?[eE]\+?[0-9]+$`)
	wholeFloat = regexp.MustCompile(`^([0-9]{6,})\.0+$`)
)

func phoneText(v string) string {
	if m := wholeFloat.FindStringSubmatch(v); m != nil {
		return m[1]
	}
	return v
}

var genderWords = map[string]string{
	"女": "female", "女士": "female", "女性": "female", "小姐": "female", "f": "female", "female": "female", "woman": "female", "ms": "female", "mrs": "female",
	"男": "male", "男士": "male", "男性": "male", "先生": "male", "m": "male", "male": "male", "man": "male", "mr": "male",
	"其他": "other", "其它": "other", "other": "other",
	"未知": "unknown", "保密": "unknown", "不详": "unknown", "unknown": "unknown", "": "unknown",
}

var (
	dateParts = regexp.MustCompile(`^([0-9]{1,4})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,4})\s*日?(?:[T ].*)?$`)
	dateShort = regexp.MustCompile(`^((?:19|20)[0-9]{2})([0-9]{2})([0-9]{2})$`)
	dayNumber = regexp.MustCompile(`^[0-9]{1,5}(\.[0-9]+)?$`)
)

// date reads a day in the usual spellings; a spreadsheet also keeps days as
// numbers since 1899-12-30.
func date(v string, sheet bool) (time.Time, *apperr.Definition) {
	if m := dateShort.FindStringSubmatch(v); m != nil {
		return day(m[1], m[2], m[3])
	}
	if m := dateParts.FindStringSubmatch(v); m != nil {
		switch {
		case len(m[1]) == 4 && len(m[3]) <= 2:
			return day(m[1], m[2], m[3])
		case len(m[1]) <= 2 && len(m[3]) == 4:
			a, _ := strconv.Atoi(m[1])
			b, _ := strconv.Atoi(m[2])
			switch {
			case a > 12, a == b:
				return day(m[3], m[2], m[1])
			case b > 12:
				return day(m[3], m[1], m[2])
			}
			return time.Time{}, ErrDateOrder
		}
		return time.Time{}, ErrDate
	}
	if sheet && dayNumber.MatchString(v) {
		f, err := strconv.ParseFloat(v, 64)
		if err == nil && f >= 61 { // before, Excel counts a day that never was
			return time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(f)), nil
		}
	}
	return time.Time{}, ErrDate
}

func day(year, month, dayOfMonth string) (time.Time, *apperr.Definition) {
	y, _ := strconv.Atoi(year)
	m, _ := strconv.Atoi(month)
	d, _ := strconv.Atoi(dayOfMonth)
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	if t.Year() != y || int(t.Month()) != m || t.Day() != d {
		return time.Time{}, ErrDate
	}
	return t, nil
}

// fieldOf names the field that a fault of the customers domain points at.
func fieldOf(pointer string) string {
	name := strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", ".")
	switch {
	case name == "home_store_id":
		return "home_store"
	case name == "assigned_staff_id":
		return "assigned_staff"
	case strings.HasPrefix(name, "tags."):
		return "tags"
	case strings.HasPrefix(name, customPrefix): // of several choices, the first wrong one
		key, _, _ := strings.Cut(strings.TrimPrefix(name, customPrefix), ".")
		return customPrefix + key
	}
	return name
}

// domainFaults are the faults of a row that the customers domain found.
func (c *converter) domainFaults(err error) []cellFault {
	var out []cellFault
	for _, f := range customers.Faults(err) {
		field := fieldOf(f.Pointer)
		fault := cellFault{Field: field, Code: f.Code, Args: f.Args}
		for n, name := range c.mapping {
			if name == field {
				fault.Column = n
			}
		}
		out = append(out, fault)
	}
	slices.SortStableFunc(out, func(a, b cellFault) int { return a.Column - b.Column })
	return out
}
