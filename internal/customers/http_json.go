package customers

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// A page of fifty customers written through the generated types costs more
// than reading them from PostgreSQL (a map for every nullable field, reflection
// over all of them), so pages are written straight into the answer. A test
// compares the result with the generated type's.

// listAnswer is a page, ready to be sent.
type listAnswer struct {
	body []byte
	link string
}

func newListAnswer(p *Page, link string) listAnswer {
	b := make([]byte, 0, 256+900*len(p.Items))
	b = append(b, `{"items":[`...)
	for i := range p.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendCustomer(b, &p.Items[i])
	}
	b = append(b, `],"next_cursor":`...)
	b = appendOrNull(b, p.Next)
	b = append(b, `,"has_more":`...)
	b = strconv.AppendBool(b, p.HasMore)
	if p.Total != nil {
		b = append(b, `,"total_count":`...)
		b = strconv.AppendInt(b, *p.Total, 10)
	}
	return listAnswer{append(b, '}'), link}
}

// VisitListCustomersResponse implements the generated interface.
func (l listAnswer) VisitListCustomersResponse(w http.ResponseWriter) error {
	h := w.Header()
	h["Content-Type"] = contentJSON
	if l.link != "" {
		h.Set("Link", l.link)
	}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(l.body)
	return err
}

// VisitSearchCustomersResponse implements the generated interface.
func (l listAnswer) VisitSearchCustomersResponse(w http.ResponseWriter) error {
	return l.VisitListCustomersResponse(w)
}

// appendCustomer writes a customer as the contract's Customer, masked.
func appendCustomer(b []byte, clear *Customer) []byte {
	c := clear.Masked()
	b = append(b, `{"id":`...)
	b = appendUUID(b, &c.ID)
	b = append(b, `,"external_id":`...)
	b = appendOrNull(b, deref(c.ExternalID))
	b = append(b, `,"name":`...)
	b = appendOrNull(b, c.Name)
	b = append(b, `,"gender":`...)
	b = appendText(b, c.Gender)
	b = append(b, `,"birth_date":`...)
	b = appendTime(b, c.BirthDate, time.DateOnly)
	b = append(b, `,"phone":`...)
	b = appendOrNull(b, c.Phone)
	b = append(b, `,"phone_kind":`...)
	b = appendOrNull(b, c.PhoneKind)
	b = append(b, `,"email":`...)
	b = appendOrNull(b, c.Email)
	b = append(b, `,"card_number":`...)
	b = appendOrNull(b, c.Card)
	b = append(b, `,"source":`...)
	b = appendText(b, c.Source)
	b = append(b, `,"status":`...)
	if c.ArchivedAt == nil {
		b = append(b, `"active"`...)
	} else {
		b = append(b, `"archived"`...)
	}
	b = append(b, `,"home_store_id":`...)
	b = appendUUID(b, c.HomeStoreID)
	b = append(b, `,"assigned_staff_id":`...)
	b = appendUUID(b, c.AssignedStaffID)
	b = append(b, `,"address":`...)
	if c.Address == nil {
		b = append(b, "null"...)
	} else {
		b = appendJSON(b, c.Address) // its parts are named as in the contract
	}
	b = append(b, `,"language":`...)
	b = appendText(b, c.Language)
	b = append(b, `,"preferences":`...)
	b = appendObject(b, c.Preferences)
	b = append(b, `,"marketing_preferences":`...)
	b = appendObject(b, c.MarketingPreferences)
	b = append(b, `,"custom_fields":`...)
	b = appendObject(b, c.CustomFields)
	b = append(b, `,"tags":[`...)
	for i, t := range c.Tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, t)
	}
	b = append(b, `],"lifecycle_stage":`...)
	b = appendText(b, c.LifecycleStage)
	b = append(b, `,"tier":`...)
	b = appendOrNull(b, deref(c.TierCode))
	b = append(b, `,"archived_at":`...)
	b = appendTime(b, c.ArchivedAt, time.RFC3339Nano)
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, c.Version, 10)
	b = append(b, `,"created_at":`...)
	b = appendTime(b, &c.CreatedAt, time.RFC3339Nano)
	b = append(b, `,"updated_at":`...)
	b = appendTime(b, &c.UpdatedAt, time.RFC3339Nano)
	return append(b, '}')
}

func appendOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendText(b, s)
}

// appendText quotes a text; anything that needs escaping goes the long way.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c == 0x7f {
			return appendJSON(b, s)
		}
	}
	if !utf8.ValidString(s) {
		return appendJSON(b, s)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendTime(b []byte, t *time.Time, layout string) []byte {
	if t == nil {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, layout)
	return append(b, '"')
}

func appendUUID(b []byte, id *uuid.UUID) []byte {
	if id == nil {
		return append(b, "null"...)
	}
	var text [36]byte
	encodeUUID(text[:], id)
	b = append(b, '"')
	b = append(b, text[:]...)
	return append(b, '"')
}

func appendObject[V any](b []byte, m map[string]V) []byte {
	if len(m) == 0 {
		return append(b, "{}"...)
	}
	return appendJSON(b, m)
}

func appendJSON(b []byte, v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...) // cannot be: it came out of PostgreSQL as JSON
	}
	return append(b, raw...)
}
