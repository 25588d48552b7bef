package customers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customeraddress"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// A customer's default address is part of their own row, so that whoever writes
// the record (tills, files, members) writes it and nothing must be kept in step;
// the others are rows of customer_addresses. Another default changes places with
// the one before. The version of an address is the record's at its last change.

const (
	tableAddresses = "customer_addresses"
	maxAddresses   = 20
	maxLabel       = 32
)

// CustomerAddress is one of a customer's addresses, in clear.
type CustomerAddress struct {
	AddressAbout
	Address   Address
	Default   bool
	Version   int64
	UpdatedAt time.Time
}

// AddressInput is what a caller says about an address.
type AddressInput struct {
	Label, RecipientName, RecipientPhone nullable.Nullable[string]
	Address                              *Address // replaced whole
	Default                              *bool
}

// Guard judges a change of what belongs to a customer by the locked record.
type Guard func(*Customer) error

// Addresses lists a customer's addresses, in clear, the oldest first.
// Error: ErrNotFound.
func (s *Service) Addresses(ctx context.Context, customerID uuid.UUID) ([]CustomerAddress, error) {
	c, err := s.Get(ctx, customerID)
	if err != nil {
		return nil, err
	}
	return s.addressesOf(ctx, s.db.From(ctx), c)
}

func (s *Service) addressesOf(ctx context.Context, d *db.Clients, c *Customer) ([]CustomerAddress, error) {
	all, err := s.otherAddresses(ctx, d, c)
	if err != nil {
		return nil, err
	}
	if c.Address != nil {
		all = append(all, c.defaultAddress())
	}
	slices.SortFunc(all, func(a, b CustomerAddress) int { return compareIDs(a.ID, b.ID) })
	return all, nil
}

// defaultAddress is the address of the record as one of all. One from before ids
// were given goes by the customer's.
func (c *Customer) defaultAddress() CustomerAddress {
	out := CustomerAddress{AddressAbout: c.About, Address: *c.Address, Default: true, Version: c.Version, UpdatedAt: c.UpdatedAt}
	if out.ID == uuid.Nil {
		out.ID, out.CreatedAt = c.ID, c.CreatedAt
	}
	return out
}

func (s *Service) otherAddresses(ctx context.Context, d *db.Clients, c *Customer) ([]CustomerAddress, error) {
	rows, err := d.CRM.CustomerAddress.Query().Where(customeraddress.CustomerID(c.ID)).Order(customeraddress.ByID()).All(ctx)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	key, err := s.keys.UnwrapDataKey(c.ID, c.wrapped)
	if err != nil {
		return nil, fmt.Errorf("customer %s: data key: %w", c.ID, err)
	}
	out := make([]CustomerAddress, len(rows))
	for i, row := range rows {
		var a storedAddress
		raw, err := key.Derive(tableAddresses, row.ID).Open(tableAddresses, "address", row.ID, row.AddressSealed)
		if err == nil {
			err = json.Unmarshal(raw, &a)
		}
		if err != nil {
			return nil, fmt.Errorf("address %s: %w", row.ID, err)
		}
		a.ID, a.CreatedAt = row.ID, row.CreatedAt.UTC()
		out[i] = CustomerAddress{AddressAbout: a.AddressAbout, Address: a.Address, Version: row.Version, UpdatedAt: row.UpdatedAt.UTC()}
	}
	return out, nil
}

func sealAddress(key crypto.DataKey, a *CustomerAddress) []byte {
	about := a.AddressAbout
	about.ID, about.CreatedAt = uuid.Nil, time.Time{} // columns of the row
	raw, err := json.Marshal(storedAddress{a.Address, about})
	if err != nil {
		panic(err) // texts
	}
	return key.Derive(tableAddresses, a.ID).Seal(tableAddresses, "address", a.ID, raw)
}

// Address reads one of a customer's addresses, in clear.
// Errors: ErrNotFound, ErrAddressNotFound.
func (s *Service) Address(ctx context.Context, customerID, id uuid.UUID) (*CustomerAddress, error) {
	all, err := s.Addresses(ctx, customerID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(a CustomerAddress) bool { return a.ID == id })
	if i < 0 {
		return nil, ErrAddressNotFound.New()
	}
	return &all[i], nil
}

// addressBook is a customer, locked, with the addresses beside the default one.
type addressBook struct {
	s    *Service
	tx   *db.Tx
	c    *Customer
	key  crypto.DataKey
	rest []CustomerAddress
	now  time.Time
}

// changeAddresses runs a change of a customer's addresses. What f returns is
// whether anything is different now.
func (s *Service) changeAddresses(ctx context.Context, customerID uuid.UUID, guard Guard, f func(context.Context, *addressBook) (bool, error)) error {
	_, err := s.change(ctx, customerID, nil, func(ctx context.Context, tx *db.Tx, c *Customer) (change, error) {
		if c.ArchivedAt != nil {
			return change{}, ErrArchived.New()
		}
		if guard != nil {
			if err := guard(c); err != nil {
				return change{}, err
			}
		}
		b := &addressBook{s: s, tx: tx, c: c, now: s.clock.Now()}
		var err error
		if b.key, err = s.keys.UnwrapDataKey(c.ID, c.wrapped); err != nil {
			return change{}, err
		}
		if b.rest, err = s.otherAddresses(ctx, tx.Clients, c); err != nil {
			return change{}, err
		}
		old := *c
		changed, err := f(ctx, b)
		if err != nil || !changed {
			return change{}, err
		}
		what := change{action: "customers.addresses", event: EventUpdated, fields: []string{"addresses"}}
		if fields := c.differences(&old); len(fields) > 0 {
			rules, err := s.activeRules(ctx)
			if err != nil {
				return change{}, err
			}
			var bad faults
			rules.judge(c, s.clock.Today().Time(), &bad)
			what.fields = append(fields, what.fields...)
			return what, bad.err()
		}
		return what, nil
	})
	return err
}

// AddAddress gives a customer one more address; the first one becomes the
// default. Errors: ErrNotFound, ErrArchived, ErrAddressCount, ErrAddressEmpty,
// those of single fields.
func (s *Service) AddAddress(ctx context.Context, customerID uuid.UUID, in AddressInput, guard Guard) (*CustomerAddress, error) {
	var out CustomerAddress
	err := s.changeAddresses(ctx, customerID, guard, func(ctx context.Context, b *addressBook) (bool, error) {
		count := len(b.rest)
		if b.c.Address != nil {
			count++
		}
		if count >= maxAddresses {
			return false, ErrAddressCount.New().Arg("max", maxAddresses)
		}
		id, err := uuid.NewV7()
		if err != nil {
			return false, err
		}
		out = CustomerAddress{AddressAbout: AddressAbout{ID: id, CreatedAt: b.now}}
		if err := out.apply(&in); err != nil {
			return false, err
		}
		if b.c.Address == nil || in.Default != nil && *in.Default {
			return true, b.makeDefault(ctx, &out)
		}
		return true, b.insert(ctx, &out)
	})
	return &out, err
}

// UpdateAddress changes one of a customer's addresses.
// Errors: ErrNotFound, ErrArchived, ErrAddressNotFound, ErrAddressEmpty,
// ErrAddressDefault, those of single fields, request.version_mismatch.
func (s *Service) UpdateAddress(ctx context.Context, customerID, id uuid.UUID, in AddressInput, ifMatch *string, guard Guard) (*CustomerAddress, error) {
	var out CustomerAddress
	err := s.changeAddresses(ctx, customerID, guard, func(ctx context.Context, b *addressBook) (bool, error) {
		found, err := b.find(id, ifMatch)
		if err != nil {
			return false, err
		}
		out = found
		if err := out.apply(&in); err != nil {
			return false, err
		}
		if in.Default != nil && *in.Default != found.Default {
			if found.Default {
				return false, ErrAddressDefault.At("/is_default")
			}
			if err := b.tx.CRM.CustomerAddress.DeleteOneID(id).Exec(ctx); err != nil {
				return false, err
			}
			return true, b.makeDefault(ctx, &out)
		}
		if out == found {
			return false, nil
		}
		out.Version, out.UpdatedAt = b.c.Version+1, b.now
		if out.Default {
			b.c.Address, b.c.About = &out.Address, out.AddressAbout
			return true, nil
		}
		return true, b.tx.CRM.CustomerAddress.UpdateOneID(id).SetAddressSealed(sealAddress(b.key, &out)).SetVersion(out.Version).SetUpdatedAt(b.now).Exec(ctx)
	})
	return &out, err
}

// DeleteAddress takes an address away. Errors: ErrNotFound, ErrArchived,
// ErrAddressNotFound, request.version_mismatch.
func (s *Service) DeleteAddress(ctx context.Context, customerID, id uuid.UUID, ifMatch *string, guard Guard) error {
	return s.changeAddresses(ctx, customerID, guard, func(ctx context.Context, b *addressBook) (bool, error) {
		found, err := b.find(id, ifMatch)
		if err != nil {
			return false, err
		}
		if found.Default {
			b.c.Address, b.c.About = nil, AddressAbout{}
			return true, nil
		}
		return true, b.tx.CRM.CustomerAddress.DeleteOneID(id).Exec(ctx)
	})
}

func (b *addressBook) find(id uuid.UUID, ifMatch *string) (CustomerAddress, error) {
	all := b.rest
	if b.c.Address != nil {
		all = append(all[:len(all):len(all)], b.c.defaultAddress())
	}
	i := slices.IndexFunc(all, func(a CustomerAddress) bool { return a.ID == id })
	if i < 0 {
		return CustomerAddress{}, ErrAddressNotFound.New()
	}
	return all[i], etag.Check(ifMatch, all[i].Version)
}

// makeDefault puts an address into the record; the one before becomes a row. One
// without an id gets one now: its own id goes with the record.
func (b *addressBook) makeDefault(ctx context.Context, a *CustomerAddress) error {
	if b.c.Address != nil {
		before := b.c.defaultAddress()
		if before.ID == b.c.ID {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			before.ID = id
		}
		if err := b.insert(ctx, &before); err != nil {
			return err
		}
	}
	a.Default, a.Version, a.UpdatedAt = true, b.c.Version+1, b.now
	b.c.Address, b.c.About = &a.Address, a.AddressAbout
	return nil
}

func (b *addressBook) insert(ctx context.Context, a *CustomerAddress) error {
	a.Default, a.Version, a.UpdatedAt = false, b.c.Version+1, b.now
	return createAddress(ctx, b.tx, b.key, b.c, a)
}

func createAddress(ctx context.Context, tx *db.Tx, key crypto.DataKey, c *Customer, a *CustomerAddress) error {
	return tx.CRM.CustomerAddress.Create().SetID(a.ID).SetCustomerID(c.ID).SetNillableStoreID(c.HomeStoreID).SetNillableAssignedStaffID(c.AssignedStaffID).
		SetAddressSealed(sealAddress(key, a)).SetVersion(a.Version).SetCreatedAt(a.CreatedAt).SetUpdatedAt(a.UpdatedAt).Exec(ctx)
}

// apply changes an address by what an input says, with values in their normal form.
func (a *CustomerAddress) apply(in *AddressInput) error {
	var bad faults
	if v, ok := text(in.Label); ok {
		a.Label = line(v, maxLabel, "/label", &bad)
	}
	if v, ok := text(in.RecipientName); ok {
		a.RecipientName = normal(v, pii.NormalizeName, "/recipient_name", &bad)
	}
	if v, ok := text(in.RecipientPhone); ok {
		a.RecipientPhone = normal(v, func(raw string) (string, error) {
			p, err := pii.ParsePhone(raw, "")
			return p.E164, err
		}, "/recipient_phone", &bad)
	}
	if in.Address != nil {
		if parts := address(*in.Address, "/address", &bad); parts != nil {
			a.Address = *parts
		} else {
			bad.add("/address", ErrAddressEmpty)
		}
	}
	return bad.err()
}

// line is a short text without line breaks; nil is none.
func line(v *string, most int, pointer string, bad *faults) string {
	if v == nil {
		return ""
	}
	out := strings.TrimSpace(*v)
	switch {
	case !utf8.ValidString(out) || strings.ContainsFunc(out, unicode.IsControl):
		bad.add(pointer, ErrValue)
	case utf8.RuneCountInString(out) > most:
		bad.add(pointer, ErrTooLong, map[string]any{"max": most})
	}
	return out
}

// keepAddress makes the default address that a merge did not take another one of
// the survivor's, unless it says the same.
func (s *Service) keepAddress(ctx context.Context, tx *db.Tx, m *Merging, survivor, merged *Customer, taken Side) (uuid.UUID, error) {
	if survivor.Address == nil || merged.Address == nil || *survivor.Address == *merged.Address {
		return uuid.Nil, nil
	}
	from := merged
	if taken == OfMerged {
		from = survivor
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, err
	}
	a := from.defaultAddress()
	a.ID, a.Version, a.UpdatedAt = id, 1, m.MergedAt
	return id, createAddress(ctx, tx, m.survivorKey, ownerOf(m.Survivor), &a)
}

// dropKeptAddress takes that address away again, unless somebody changed it: it
// is in its customer's own record once more.
func (s *Service) dropKeptAddress(ctx context.Context, tx *db.Tx, m *Merging, id uuid.UUID) error {
	if id == uuid.Nil {
		return nil
	}
	_, err := tx.CRM.CustomerAddress.Delete().Where(customeraddress.ID(id), customeraddress.CustomerID(m.Survivor.ID), customeraddress.Version(1)).Exec(ctx)
	return err
}

// ownerOf is a row as far as what belongs to it copies it.
func ownerOf(row *crm.Customer) *Customer {
	return &Customer{ID: row.ID, HomeStoreID: row.HomeStoreID, AssignedStaffID: row.AssignedStaffID}
}

// Follower has addresses and families follow merged customers.
func (s *Service) Follower() Follower {
	return Follower{Name: "customers", Belongings: []Belonging{
		{Table: tableAddresses, Kind: "addresses", Sealed: []string{"address"}, Store: true, Staff: true, Versioned: true},
		{Table: tableFamily, Kind: "family_members", Sealed: []string{"details"}, Store: true, Staff: true, Versioned: true},
	}}
}
