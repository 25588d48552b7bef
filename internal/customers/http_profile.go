package customers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/google/uuid"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
)

// A cached profile is a header and the answer's body, ready to be sent: who may
// see it is decided on the header alone, so a hot read decodes nothing.
//
//	format 1 | business day 4 | when the next tag ends, in ms, 8 | home store 16 | assistant 16 | custom fields: offset in body 4, length 4 | length of tag 1 | tag | body
//
// Where the custom fields stand is kept since not everybody may see all of
// them: they are put anew for who may not.
const (
	profileFormat = 3
	profileCustom = 1 + 4 + 8 + 16 + 16
	profileHeader = profileCustom + 4 + 4 + 1
)

// profileAnswer sends a body as it is.
type profileAnswer struct {
	tag  string
	body []byte
	// Where the custom fields stand in the body.
	customFrom, customTo int
}

var contentJSON = []string{"application/json"}

// VisitGetCustomerProfileResponse implements the generated interface. The edge
// compares the tag with If-None-Match.
func (p profileAnswer) VisitGetCustomerProfileResponse(w http.ResponseWriter) error {
	h := w.Header()
	h["Content-Type"] = contentJSON
	h["Etag"] = []string{p.tag}
	h["Content-Length"] = []string{strconv.Itoa(len(p.body))}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(p.body)
	return err
}

// answerProfile answers from the cache, else reads, answers and fills it.
func (s *Service) answerProfile(ctx context.Context, id uuid.UUID) (customersapi.GetCustomerProfileResponseObject, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	today := s.clock.Today()
	cached, lease := s.profiles.Get(ctx, id)
	if answer, store, staff, ok := readProfile(cached, today, s.clock.Now()); ok {
		if !actor.Scope.Sees(store, staff) {
			return nil, ErrNotFound.New()
		}
		return s.forCaller(ctx, &actor, answer)
	}
	doc, c, err := s.readProfileDocument(ctx, id, today)
	if err != nil {
		return nil, err
	}
	value, err := packProfile(c, today, doc)
	if err != nil {
		return nil, err
	}
	s.profiles.Fill(ctx, lease, value, s.profileLasts(c))
	if !actor.Scope.Sees(c.storeID(), c.staffID()) {
		return nil, ErrNotFound.New()
	}
	answer, _, _, _ := readProfile(value, today, time.Time{})
	return s.forCaller(ctx, &actor, answer)
}

// forCaller takes out of a profile the custom fields that the caller may not
// see. Without such fields it costs nothing.
func (s *Service) forCaller(ctx context.Context, actor *auth.Actor, p profileAnswer) (customersapi.GetCustomerProfileResponseObject, error) {
	set, err := s.definitions(ctx)
	if err != nil {
		return nil, err
	}
	if !set.restricted {
		return p, nil
	}
	var all map[string]any
	if err := json.Unmarshal(p.body[p.customFrom:p.customTo], &all); err != nil {
		return nil, err
	}
	n := len(all)
	for key := range all {
		if f := set.active(key); f == nil || !f.visible(actor) {
			delete(all, key)
		}
	}
	if len(all) == n {
		return p, nil
	}
	custom, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	body := slices.Concat(p.body[:p.customFrom], custom, p.body[p.customTo:])
	version, _, _ := strings.Cut(strings.Trim(p.tag, `"`), "-")
	return profileAnswer{tag: profileTag(version, body), body: body}, nil
}

func profileTag(version string, body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + version + "-" + hex.EncodeToString(sum[:8]) + `"`
}

// profileLasts is how long a profile can be right: until midnight, or until a tag
// of the customer ends.
func (s *Service) profileLasts(c *Customer) time.Duration {
	lasts := s.clock.UntilMidnight()
	if end := c.tagsEnd(); !end.IsZero() {
		lasts = min(lasts, max(end.Sub(s.clock.Now()), time.Millisecond))
	}
	return lasts
}

// readProfile takes a cached value apart without copying it. A value of another
// business day does not count, nor one with a tag that has ended.
func readProfile(v []byte, today clock.Day, now time.Time) (answer profileAnswer, store, staff uuid.UUID, ok bool) {
	if len(v) < profileHeader || v[0] != profileFormat || clock.Day(binary.BigEndian.Uint32(v[1:])) != today {
		return profileAnswer{}, uuid.Nil, uuid.Nil, false
	}
	if end := int64(binary.BigEndian.Uint64(v[5:])); end != 0 && end <= now.UnixMilli() {
		return profileAnswer{}, uuid.Nil, uuid.Nil, false
	}
	copy(store[:], v[13:29])
	copy(staff[:], v[29:45])
	n := profileHeader + int(v[profileHeader-1])
	from := int(binary.BigEndian.Uint32(v[profileCustom:]))
	to := from + int(binary.BigEndian.Uint32(v[profileCustom+4:]))
	if len(v) < n+to {
		return profileAnswer{}, uuid.Nil, uuid.Nil, false
	}
	tag := v[profileHeader:n]
	return profileAnswer{tag: unsafe.String(unsafe.SliceData(tag), len(tag)), body: v[n:], customFrom: from, customTo: to}, store, staff, true
}

// packProfile writes the answer with all custom fields. A name that nobody can
// know stands for them first, so that no text of the record is taken for them.
func packProfile(c *Customer, today clock.Day, doc *customersapi.CustomerProfile) ([]byte, error) {
	custom, err := json.Marshal(doc.Customer.CustomFields)
	if err != nil {
		return nil, err
	}
	mark := uuid.NewString()
	doc.Customer.CustomFields = customersapi.CustomFields{mark: true}
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	stands := []byte(`{"` + mark + `":true}`)
	from := bytes.Index(body, stands)
	if from < 0 {
		return nil, errors.New("a profile without custom fields")
	}
	body = slices.Concat(body[:from], custom, body[from+len(stands):])
	tag := profileTag(strconv.FormatInt(c.Version, 10), body)
	v := make([]byte, 0, profileHeader+len(tag)+len(body))
	v = append(v, profileFormat)
	v = binary.BigEndian.AppendUint32(v, uint32(today))
	end := int64(0)
	if at := c.tagsEnd(); !at.IsZero() {
		end = at.UnixMilli()
	}
	v = binary.BigEndian.AppendUint64(v, uint64(end))
	store, staff := c.storeID(), c.staffID()
	v = append(v, store[:]...)
	v = append(v, staff[:]...)
	v = binary.BigEndian.AppendUint32(v, uint32(from))
	v = binary.BigEndian.AppendUint32(v, uint32(len(custom)))
	v = append(v, byte(len(tag)))
	v = append(v, tag...)
	return append(v, body...), nil
}
