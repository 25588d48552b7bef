package customers

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"unsafe"

	"github.com/google/uuid"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
)

// A cached profile is a header and the answer's body, ready to be sent: who may
// see it is decided on the header alone, so a hot read decodes nothing.
//
//	format 1 | business day 4 | home store 16 | assistant 16 | length of tag 1 | tag | body
const (
	profileFormat = 1
	profileHeader = 1 + 4 + 16 + 16 + 1
)

// profileAnswer sends a body as it is.
type profileAnswer struct {
	tag  string
	body []byte
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
	if answer, store, staff, ok := readProfile(cached, today); ok {
		if !actor.Scope.Sees(store, staff) {
			return nil, ErrNotFound.New()
		}
		return answer, nil
	}
	doc, c, err := s.readProfileDocument(ctx, id, today)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	value := packProfile(c, today, body)
	s.profiles.Fill(ctx, lease, value, s.clock.UntilMidnight())
	if !actor.Scope.Sees(c.storeID(), c.staffID()) {
		return nil, ErrNotFound.New()
	}
	answer, _, _, _ := readProfile(value, today)
	return answer, nil
}

// readProfile takes a cached value apart without copying it. A value of another
// business day does not count.
func readProfile(v []byte, today clock.Day) (answer profileAnswer, store, staff uuid.UUID, ok bool) {
	if len(v) < profileHeader || v[0] != profileFormat || clock.Day(binary.BigEndian.Uint32(v[1:])) != today {
		return profileAnswer{}, uuid.Nil, uuid.Nil, false
	}
	copy(store[:], v[5:21])
	copy(staff[:], v[21:37])
	n := profileHeader + int(v[37])
	if len(v) < n {
		return profileAnswer{}, uuid.Nil, uuid.Nil, false
	}
	tag := v[profileHeader:n]
	return profileAnswer{tag: unsafe.String(unsafe.SliceData(tag), len(tag)), body: v[n:]}, store, staff, true
}

func packProfile(c *Customer, today clock.Day, body []byte) []byte {
	sum := sha256.Sum256(body)
	tag := `"` + strconv.FormatInt(c.Version, 10) + "-" + hex.EncodeToString(sum[:8]) + `"`
	v := make([]byte, 0, profileHeader+len(tag)+len(body))
	v = append(v, profileFormat)
	v = binary.BigEndian.AppendUint32(v, uint32(today))
	store, staff := c.storeID(), c.staffID()
	v = append(v, store[:]...)
	v = append(v, staff[:]...)
	v = append(v, byte(len(tag)))
	v = append(v, tag...)
	return append(v, body...)
}
