package member

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/customers"
)

// A member's addresses and family: the customers domain's, as far as the rules
// for members allow. What is hidden does not exist.

// rulesOf are who is signed in and the rules for members.
func (s *Service) rulesOf(ctx context.Context) (uuid.UUID, *customers.MemberRules, error) {
	actor, err := self(ctx)
	if err != nil {
		return uuid.Nil, nil, err
	}
	rules, err := s.Customers.MemberRules(ctx)
	return actor.ID, rules, err
}

// OwnAddresses lists the signed-in member's addresses.
func (s *Service) OwnAddresses(ctx context.Context) ([]customers.CustomerAddress, error) {
	me, rules, err := s.rulesOf(ctx)
	if err != nil || rules.Of("address") == customers.MemberHidden {
		return nil, err
	}
	return s.Customers.Addresses(ctx, me)
}

// OwnAddress reads one of them. Error: customers.address_not_found.
func (s *Service) OwnAddress(ctx context.Context, id uuid.UUID) (*customers.CustomerAddress, error) {
	me, rules, err := s.rulesOf(ctx)
	if err != nil {
		return nil, err
	}
	if rules.Of("address") == customers.MemberHidden {
		return nil, customers.ErrAddressNotFound.New()
	}
	return s.Customers.Address(ctx, me, id)
}

// AddOwnAddress adds one. Errors: member.field_read_only,
// member.field_given_once, those of customers.AddAddress.
func (s *Service) AddOwnAddress(ctx context.Context, in customers.AddressInput) (*customers.CustomerAddress, error) {
	me, rules, err := s.rulesOf(ctx)
	if err != nil {
		return nil, err
	}
	return s.Customers.AddAddress(ctx, me, in, func(c *customers.Customer) error {
		if c.Address != nil && in.Default != nil && *in.Default {
			return rules.MayChange("address") // another default is a change of the record
		}
		return rules.MayAdd("address")
	})
}

// ChangeOwnAddress changes one. Errors: member.field_read_only,
// member.field_given_once, those of customers.UpdateAddress.
func (s *Service) ChangeOwnAddress(ctx context.Context, id uuid.UUID, in customers.AddressInput, ifMatch *string) (*customers.CustomerAddress, error) {
	me, rules, err := s.rulesOf(ctx)
	if err != nil {
		return nil, err
	}
	return s.Customers.UpdateAddress(ctx, me, id, in, ifMatch, func(*customers.Customer) error { return rules.MayChange("address") })
}

// DropOwnAddress takes one away. Errors: member.field_read_only,
// member.field_given_once, customers.address_not_found.
func (s *Service) DropOwnAddress(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	me, rules, err := s.rulesOf(ctx)
	if err != nil {
		return err
	}
	return s.Customers.DeleteAddress(ctx, me, id, ifMatch, func(*customers.Customer) error { return rules.MayChange("address") })
}

// OwnFamily lists the signed-in member's family.
func (s *Service) OwnFamily(ctx context.Context) ([]customers.FamilyMember, error) {
	me, rules, err := s.rulesOf(ctx)
	if err != nil || rules.Of("family_members") == customers.MemberHidden {
		return nil, err
	}
	return s.Customers.Family(ctx, me)
}

// OwnRelative reads one of them. Error: customers.family_member_not_found.
func (s *Service) OwnRelative(ctx context.Context, id uuid.UUID) (*customers.FamilyMember, error) {
	me, rules, err := s.rulesOf(ctx)
	if err != nil {
		return nil, err
	}
	if rules.Of("family_members") == customers.MemberHidden {
		return nil, customers.ErrFamilyNotFound.New()
	}
	return s.Customers.FamilyMember(ctx, me, id)
}

// AddOwnRelative adds one. Errors: member.field_read_only, those of
// customers.AddFamilyMember.
func (s *Service) AddOwnRelative(ctx context.Context, in customers.FamilyInput) (*customers.FamilyMember, error) {
	me, rules, err := s.rulesOf(ctx)
	if err != nil {
		return nil, err
	}
	return s.Customers.AddFamilyMember(ctx, me, in, func(*customers.Customer) error { return rules.MayAdd("family_members") })
}

// ChangeOwnRelative changes one. Errors: member.field_read_only,
// member.field_given_once, those of customers.UpdateFamilyMember.
func (s *Service) ChangeOwnRelative(ctx context.Context, id uuid.UUID, in customers.FamilyInput, ifMatch *string) (*customers.FamilyMember, error) {
	me, rules, err := s.rulesOf(ctx)
	if err != nil {
		return nil, err
	}
	return s.Customers.UpdateFamilyMember(ctx, me, id, in, ifMatch, func(*customers.Customer) error { return rules.MayChange("family_members") })
}

// DropOwnRelative takes one away. Errors: member.field_read_only,
// member.field_given_once, customers.family_member_not_found.
func (s *Service) DropOwnRelative(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	me, rules, err := s.rulesOf(ctx)
	if err != nil {
		return err
	}
	return s.Customers.DeleteFamilyMember(ctx, me, id, ifMatch, func(*customers.Customer) error { return rules.MayChange("family_members") })
}
