package timeline

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/attachment"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/blob"
)

// linkTime is how long links are good at least; at most twice that. They change
// once in that time only, so that browsers keep what they fetched.
const linkTime = 15 * time.Minute

const linkTag = 16

// link is the last part of an address by which anybody who has it can fetch a
// file until it ends: 16 bytes id, variant, 8 bytes seconds, 16 bytes HMAC-SHA256.
func (s *Service) link(id uuid.UUID, v Variant, ends time.Time) string {
	raw := append(id[:], byte(v))
	raw = binary.BigEndian.AppendUint64(raw, uint64(ends.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(raw, s.linkTag(raw)...))
}

func (s *Service) linkTag(raw []byte) []byte {
	m := hmac.New(sha256.New, s.linkKey[:])
	m.Write(raw)
	return m.Sum(nil)[:linkTag]
}

// linksEnd is when links made now end.
func (s *Service) linksEnd() time.Time {
	return s.Clock.Now().UTC().Truncate(linkTime).Add(2 * linkTime)
}

// OpenLink reads the file of a link.
// Errors: ErrLink, also when what it led to has been deleted; ErrStorage.
func (s *Service) OpenLink(ctx context.Context, link string) (a *Attachment, f *blob.Reader, v Variant, ends time.Time, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(link)
	const signed = 16 + 1 + 8
	if err != nil || len(raw) != signed+linkTag || !hmac.Equal(raw[signed:], s.linkTag(raw[:signed])) {
		return nil, nil, 0, ends, ErrLink.New()
	}
	ends = time.Unix(int64(binary.BigEndian.Uint64(raw[17:])), 0).UTC()
	if !s.Clock.Now().Before(ends) {
		return nil, nil, 0, ends, ErrLink.New()
	}
	// Whoever made the link was allowed to see the file.
	ctx = auth.System(ctx, "link")
	c := s.DB.From(ctx).CRM
	row, err := c.Attachment.Query().Where(attachment.ID(uuid.UUID(raw[:16]))).WithCustomer(func(q *crm.CustomerQuery) {
		q.Select(customer.FieldID, customer.FieldDataKey)
	}).Only(ctx)
	if crm.IsNotFound(err) || err == nil && row.Edges.Customer == nil {
		return nil, nil, 0, ends, ErrLink.New()
	}
	if err != nil {
		return nil, nil, 0, ends, err
	}
	key, err := s.Keys.UnwrapDataKey(row.CustomerID, row.Edges.Customer.DataKey)
	if err != nil {
		return nil, nil, 0, ends, err
	}
	if a, err = openAttachment(key, row); err != nil {
		return nil, nil, 0, ends, err
	}
	v = Variant(raw[16])
	f, err = s.openFile(key, a, v)
	return a, f, v, ends, err
}
