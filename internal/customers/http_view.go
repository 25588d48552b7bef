package customers

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	openapi_types "github.com/oapi-codegen/runtime/types"

	commonapi "github.com/shuke-crm/shuke/api/common"
	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

func null[T any]() nullable.Nullable[T] { return nullable.NewNullNullable[T]() }

func value[T any](v T) nullable.Nullable[T] { return nullable.NewNullableWithValue(v) }

// orNull writes an empty text as null.
func orNull(s string) nullable.Nullable[string] {
	if s == "" {
		return null[string]()
	}
	return value(s)
}

func pointerOrNull[T any](v *T) nullable.Nullable[T] {
	if v == nil {
		return null[T]()
	}
	return value(*v)
}

func fromPointer[T any](v *T) nullable.Nullable[T] {
	if v == nil {
		return nil
	}
	return value(*v)
}

func dateOrNull(t *time.Time) nullable.Nullable[openapi_types.Date] {
	if t == nil {
		return null[openapi_types.Date]()
	}
	return value(openapi_types.Date{Time: *t})
}

func instant(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func part(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// toAPICustomer masks: no answer but a revealed one holds personal data whole.
func toAPICustomer(clear *Customer) customersapi.Customer {
	c := clear.Masked()
	out := customersapi.Customer{
		Id: c.ID, ExternalId: pointerOrNull(c.ExternalID), Name: orNull(c.Name), Gender: customersapi.CustomerGender(c.Gender), BirthDate: dateOrNull(c.BirthDate),
		Phone: orNull(c.Phone), PhoneKind: null[customersapi.PhoneKind](), Email: orNull(c.Email), CardNumber: orNull(c.Card), Source: c.Source,
		Status: customersapi.CustomerActive, HomeStoreId: pointerOrNull(c.HomeStoreID), AssignedStaffId: pointerOrNull(c.AssignedStaffID), Address: ToAPIAddress(c.Address),
		Language: c.Language, Preferences: c.Preferences, MarketingPreferences: c.MarketingPreferences, CustomFields: c.CustomFields, Tags: c.Tags,
		LifecycleStage: customersapi.LifecycleStage(c.LifecycleStage), Tier: pointerOrNull(c.TierCode), ArchivedAt: pointerOrNull(c.ArchivedAt),
		Version: c.Version, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
	out.Warnings = toAPIWarnings(c.Warnings)
	if c.PhoneKind != "" {
		out.PhoneKind.Set(customersapi.PhoneKind(c.PhoneKind))
	}
	if c.ArchivedAt != nil {
		out.Status = customersapi.CustomerArchived
	}
	if out.Preferences == nil {
		out.Preferences = customersapi.CustomerPreferences{}
	}
	if out.MarketingPreferences == nil {
		out.MarketingPreferences = customersapi.MarketingPreferences{}
	}
	if out.CustomFields == nil {
		out.CustomFields = customersapi.CustomFields{}
	}
	if out.Tags == nil {
		out.Tags = []string{}
	}
	return out
}

// ToAPIAddress writes an address as all contracts do.
func ToAPIAddress(a *Address) nullable.Nullable[commonapi.Address] {
	if a == nil {
		return null[commonapi.Address]()
	}
	return value(commonapi.Address{Country: part(a.Country), Region: part(a.Region), City: part(a.City), District: part(a.District),
		Line1: part(a.Line1), Line2: part(a.Line2), PostalCode: part(a.PostalCode)})
}

func toAPICard(clear *Customer) customersapi.CustomerCard {
	c := toAPICustomer(clear)
	return customersapi.CustomerCard{Id: c.Id, ExternalId: c.ExternalId, Name: c.Name, Phone: c.Phone, PhoneKind: c.PhoneKind, CardNumber: c.CardNumber,
		Language: c.Language, LifecycleStage: c.LifecycleStage, Tier: c.Tier, HomeStoreId: c.HomeStoreId, AssignedStaffId: c.AssignedStaffId, Tags: c.Tags}
}

func (a API) toAPIRevealed(c *Revealed, fields []customersapi.RevealField) customersapi.CustomerRevealed {
	out := customersapi.CustomerRevealed{Id: c.ID}
	for _, f := range fields {
		switch f {
		case customersapi.RevealName:
			out.Name = orNull(c.Name)
		case customersapi.RevealPhone:
			out.Phone = orNull(c.Phone)
		case customersapi.RevealEmail:
			out.Email = orNull(c.Email)
		case customersapi.RevealAddress:
			out.Address = ToAPIAddress(c.Address)
		case customersapi.RevealCustomFields:
			personal := customersapi.CustomFields(c.Custom)
			if personal == nil {
				personal = customersapi.CustomFields{}
			}
			out.CustomFields = &personal
		case customersapi.RevealAddresses:
			all := make([]customersapi.CustomerAddress, len(c.Addresses))
			for i := range all {
				all[i] = ToAPICustomerAddress(&c.Addresses[i])
			}
			out.Addresses = &all
		case customersapi.RevealFamilyMembers:
			all := make([]customersapi.FamilyMember, len(c.Family))
			for i := range all {
				all[i] = a.ToAPIFamilyMember(&c.Family[i])
			}
			out.FamilyMembers = &all
		}
	}
	return out
}

// FromAPIAddress reads an address as all contracts write it.
func FromAPIAddress(a commonapi.AddressInput) Address {
	return Address{Country: deref(a.Country), Region: deref(a.Region), City: deref(a.City), District: deref(a.District),
		Line1: deref(a.Line1), Line2: deref(a.Line2), PostalCode: deref(a.PostalCode)}
}

func fromAPICreate(b *customersapi.CustomerCreate) Input {
	in := Input{
		ExternalID: fromPointer(b.ExternalId), Name: fromPointer(b.Name), Phone: fromPointer(b.Phone), Email: fromPointer(b.Email), CardNumber: fromPointer(b.CardNumber),
		Gender: (*string)(b.Gender), Source: b.Source, HomeStoreID: fromPointer(b.HomeStoreId), AssignedStaffID: fromPointer(b.AssignedStaffId), Language: b.Language,
		Preferences: (*map[string]any)(b.Preferences), MarketingPreferences: (*map[string]bool)(b.MarketingPreferences), CustomFields: (*map[string]any)(b.CustomFields),
		Tags: b.Tags, LifecycleStage: (*string)(b.LifecycleStage), Collection: fromAPICollection(b.Collection),
	}
	if b.BirthDate != nil {
		in.BirthDate = value(b.BirthDate.Time)
	}
	if b.Address != nil {
		in.Address = value(FromAPIAddress(*b.Address))
	}
	return in
}

func fromAPIUpdate(b *customersapi.CustomerUpdate) Input {
	in := Input{
		ExternalID: b.ExternalId, Name: b.Name, Phone: b.Phone, Email: b.Email, CardNumber: b.CardNumber,
		Gender: (*string)(b.Gender), Source: b.Source, HomeStoreID: b.HomeStoreId, AssignedStaffID: b.AssignedStaffId, Language: b.Language,
		Preferences: (*map[string]any)(b.Preferences), MarketingPreferences: (*map[string]bool)(b.MarketingPreferences), CustomFields: (*map[string]any)(b.CustomFields),
		Tags: b.Tags, LifecycleStage: (*string)(b.LifecycleStage), Collection: fromAPICollection(b.Collection),
	}
	if b.BirthDate.IsNull() {
		in.BirthDate = null[time.Time]()
	} else if v, err := b.BirthDate.Get(); err == nil {
		in.BirthDate = value(v.Time)
	}
	if b.Address.IsNull() {
		in.Address = null[Address]()
	} else if v, err := b.Address.Get(); err == nil {
		in.Address = value(FromAPIAddress(v))
	}
	return in
}

// fromAPIBulkItem reads what the contract leaves as text in a batch, so that
// one bad item does not refuse the whole.
func fromAPIBulkItem(b *customersapi.CustomerBulkItem) BulkItem {
	in := Input{
		ExternalID: fromPointer(b.ExternalId), Name: fromPointer(b.Name), Phone: fromPointer(b.Phone), Email: fromPointer(b.Email), CardNumber: fromPointer(b.CardNumber),
		Gender: b.Gender, Source: b.Source, Language: b.Language, Tags: b.Tags, LifecycleStage: b.LifecycleStage,
		Preferences: (*map[string]any)(b.Preferences), MarketingPreferences: (*map[string]bool)(b.MarketingPreferences), CustomFields: (*map[string]any)(b.CustomFields), Collection: fromAPICollection(b.Collection),
	}
	var bad faults
	if b.BirthDate != nil {
		day, err := time.Parse(time.DateOnly, *b.BirthDate)
		if err != nil {
			bad.add("/birth_date", ErrBirthDate)
		}
		in.BirthDate = value(day)
	}
	id := func(raw *string, pointer string, d *apperr.Definition) nullable.Nullable[uuid.UUID] {
		if raw == nil {
			return nil
		}
		v, err := uuid.Parse(*raw)
		if err != nil || len(*raw) != 36 {
			bad.add(pointer, d)
		}
		return value(v)
	}
	in.HomeStoreID = id(b.HomeStoreId, "/home_store_id", ErrStore)
	in.AssignedStaffID = id(b.AssignedStaffId, "/assigned_staff_id", ErrStaff)
	if a := b.Address; a != nil {
		in.Address = value(Address{Country: deref(a.Country), Region: deref(a.Region), City: deref(a.City), District: deref(a.District),
			Line1: deref(a.Line1), Line2: deref(a.Line2), PostalCode: deref(a.PostalCode)})
	}
	item := BulkItem{Input: in}
	if v, err := id(b.Id, "/id", ErrNotFound).Get(); err == nil {
		item.ID = &v
	}
	item.Err = bad.err()
	return item
}

func toAPIBulk(out []BulkOutcome, acceptLanguage *string) customersapi.CustomerBulkResults {
	lang := apperr.Language(deref(acceptLanguage))
	results := customersapi.CustomerBulkResults{Results: make([]customersapi.CustomerBulkResult, len(out))}
	for i, o := range out {
		r := customersapi.CustomerBulkResult{Index: int32(i), Status: customersapi.BulkItemStatus(o.Status)}
		if o.Err == nil {
			r.CustomerId, r.Warnings = &o.CustomerID, toAPIWarnings(o.Warnings)
		} else {
			r.Error = toAPIBulkError(o.Err, "/items/"+itoa(i), lang)
		}
		results.Results[i] = r
	}
	return results
}

// toAPIBulkError tells the first fault of an item; the rest show once it is gone.
func toAPIBulkError(err error, base, lang string) *customersapi.CustomerBulkError {
	e := apperr.From(err)
	if e == nil {
		e = apperr.ErrInternal.New()
	}
	out := &customersapi.CustomerBulkError{Code: e.Def.Code, Pointer: base, Detail: e.Def.Text(lang, e.Args)}
	if len(e.Fields) > 0 {
		f := e.Fields[0]
		out.Code, out.Pointer = f.Code, base+f.Pointer
		if d := apperr.Lookup(f.Code); d != nil {
			out.Detail = d.Text(lang, f.Args)
		}
		out.Rule = part(f.Rule)
	}
	if id, ok := e.Extra["existing_id"].(uuid.UUID); ok {
		out.ExistingId = &id
	}
	return out
}

func fromAPIFilter(p customersapi.ListCustomersParams) Filter {
	f := Filter{
		Phone: deref(p.Phone), PhoneLast4: deref(p.PhoneLast4), Email: deref(p.Email), CardNumber: deref(p.CardNumber), Name: deref(p.Name),
		ExternalID: deref(p.ExternalId), Tag: deref(p.Tag), StoreID: orNil(p.StoreId), GroupID: orNil(p.GroupId), AssignedStaffID: orNil(p.AssignedStaffId), RFMBand: deref(p.RfmBand),
		LifecycleStage: deref((*string)(p.LifecycleStage)), Tier: deref(p.Tier), CreatedAfter: p.CreatedAfter, CreatedBefore: p.CreatedBefore, UpdatedAfter: p.UpdatedAfter,
		Archived: p.Status != nil && *p.Status == customersapi.CustomerArchived,
	}
	if p.Sort != nil {
		f.Sort = Sort(*p.Sort)
	}
	if p.CustomFields != nil {
		for _, raw := range *p.CustomFields {
			key, v, _ := strings.Cut(raw, ":") // the contract has seen to the colon
			f.Fields = append(f.Fields, FieldFilter{Key: key, Op: OpAnyOf, Values: []string{v}})
		}
	}
	return f
}

func fromAPISearch(b *customersapi.CustomerSearch) Filter {
	f := Filter{
		Phone: deref(b.Phone), PhoneLast4: deref(b.PhoneLast4), Email: deref(b.Email), CardNumber: deref(b.CardNumber), Name: deref(b.Name),
		ExternalID: deref(b.ExternalId), Tag: deref(b.Tag), StoreID: orNil(b.StoreId), GroupID: orNil(b.GroupId), AssignedStaffID: orNil(b.AssignedStaffId), RFMBand: deref(b.RfmBand),
		LifecycleStage: deref((*string)(b.LifecycleStage)), Tier: deref(b.Tier), CreatedAfter: b.CreatedAfter, CreatedBefore: b.CreatedBefore, UpdatedAfter: b.UpdatedAfter,
		Archived: b.Status != nil && *b.Status == customersapi.CustomerArchived,
	}
	if b.Sort != nil {
		f.Sort = Sort(*b.Sort)
	}
	if b.CustomFields != nil {
		for _, c := range *b.CustomFields {
			one := FieldFilter{Key: c.Key, Op: FieldOp(c.Op)}
			if c.Values != nil {
				one.Values = *c.Values
			}
			f.Fields = append(f.Fields, one)
		}
	}
	return f
}
