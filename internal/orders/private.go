package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Recipient is to whom and where an order is sent.
type Recipient struct {
	Name    string            `json:"name"`
	Phone   string            `json:"phone"` // E.164
	Address customers.Address `json:"address"`
}

// Masked is the recipient as everybody sees it without revealing.
func (r Recipient) Masked() Recipient {
	return Recipient{Name: pii.MaskName(r.Name), Phone: pii.MaskPhone(r.Phone), Address: r.Address.Masked()}
}

// Private is what of an order or return is about people: sealed with the key of
// its customer, or with that of the business where nobody is named.
type Private struct {
	Recipient *Recipient `json:"recipient,omitempty"`
	Note      string     `json:"note,omitempty"`
}

const sealPurpose = "orders.private"

// sealPart seals what is private of a row; nothing where there is nothing.
func (s *Service) sealPart(table string, id uuid.UUID, b buyer, p Private) (*[]byte, error) {
	if p == (Private{}) {
		return nil, nil
	}
	out, err := s.seal(table, id, b, p)
	return &out, err
}

// seal seals the column private of a row of a customer, or of the business where
// nobody is named.
func (s *Service) seal(table string, id uuid.UUID, b buyer, v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if b.id == uuid.Nil {
		return s.keys.SealBlob(sealPurpose, id[:], raw), nil
	}
	key, err := s.keys.UnwrapDataKey(b.id, b.wrapped)
	if err != nil {
		return nil, fmt.Errorf("customer %s: data key: %w", b.id, err)
	}
	return key.Derive(table, id).Seal(table, "private", id, raw), nil
}

// openPart opens what sealPart sealed.
func (s *Service) openPart(table string, id uuid.UUID, b buyer, sealed *[]byte) (p Private, err error) {
	if sealed == nil || len(*sealed) == 0 {
		return p, nil
	}
	err = s.unseal(table, id, b, *sealed, &p)
	return p, err
}

// unseal opens what seal sealed.
func (s *Service) unseal(table string, id uuid.UUID, b buyer, sealed []byte, into any) (err error) {
	var raw []byte
	if b.id == uuid.Nil {
		raw, err = s.keys.OpenBlob(sealPurpose, id[:], sealed)
	} else {
		key, keyErr := s.keys.UnwrapDataKey(b.id, b.wrapped)
		if keyErr != nil {
			return fmt.Errorf("customer %s: data key: %w", b.id, keyErr)
		}
		raw, err = key.Derive(table, id).Open(table, "private", id, sealed)
	}
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", table, id, err)
	}
	return nil
}

func (s *Service) openPrivate(o *commerce.Order, b buyer) (Private, error) {
	return s.openPart("orders", o.ID, b, o.PrivateSealed)
}

// private reads what is private of a row outside of a step.
func (s *Service) private(ctx context.Context, table string, id uuid.UUID, customer *uuid.UUID, sealed *[]byte) (Private, error) {
	if sealed == nil || len(*sealed) == 0 {
		return Private{}, nil
	}
	b, err := s.buyerOf(ctx, customer)
	if err != nil {
		return Private{}, err
	}
	return s.openPart(table, id, b, sealed)
}

// buyerOf reads the key of a customer whose row the caller sees.
func (s *Service) buyerOf(ctx context.Context, customer *uuid.UUID) (b buyer, err error) {
	if customer == nil {
		return b, nil
	}
	b.id = *customer
	return b, s.db.From(ctx).QueryRow(ctx, "SELECT data_key FROM customers WHERE id = $1", b.id).Scan(&b.wrapped)
}

// sealPrivate judges and seals what is private of a new order.
// Error: ErrRecipientPhone.
func (s *Service) sealPrivate(p *placing) (err error) {
	private := Private{Recipient: p.in.Recipient}
	if p.in.Note != nil {
		private.Note = strings.TrimSpace(*p.in.Note)
	}
	if private.Recipient != nil {
		if private.Recipient, err = private.Recipient.tidy(); err != nil {
			return err
		}
	}
	p.o.PrivateSealed, err = s.sealPart("orders", p.o.ID, p.customer, private)
	return err
}

// tidy brings a recipient to its normal form.
// Errors: ErrRecipientPhone, ErrRecipientName, ErrRecipientAddress.
func (r Recipient) tidy() (*Recipient, error) {
	phone, err := pii.ParsePhone(r.Phone, "CN")
	if err != nil {
		return nil, ErrRecipientPhone.At("/recipient/phone")
	}
	if r.Name, err = pii.NormalizeName(r.Name); err != nil || r.Name == "" {
		return nil, ErrRecipientName.At("/recipient/name")
	}
	if strings.TrimSpace(r.Address.Line1) == "" {
		return nil, ErrRecipientAddress.At("/recipient/address/line1")
	}
	r.Phone = phone.E164
	return &r, nil
}

// Reveal returns an order's recipient in clear; nil where there is none.
// Errors: ErrOrderNotFound, ErrReason.
func (s *Service) Reveal(ctx context.Context, id uuid.UUID, reason string) (out *Recipient, err error) {
	if reason = strings.TrimSpace(reason); utf8.RuneCountInString(reason) < 2 {
		return nil, ErrReason.At("/reason")
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		o, err := s.Order(ctx, id)
		if err != nil {
			return err
		}
		p, err := s.private(ctx, "orders", o.ID, o.CustomerID, o.PrivateSealed)
		if err != nil {
			return err
		}
		out = p.Recipient
		audit.Record(ctx, tx, audit.Entry{Action: "orders.reveal", ObjectType: "order", ObjectID: id.String(), StoreID: &o.StoreID, StaffID: o.AssignedStaffID, Reason: reason,
			Changes: map[string]any{"fields": []string{"recipient"}}})
		return nil
	})
	return out, err
}
