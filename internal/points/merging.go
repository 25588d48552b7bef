package points

import "github.com/shuke-crm/shuke/internal/customers"

// Follower has accounts, holds and adjustments follow merged customers. The
// ledger is of accounts and never changes: an account that goes back has what is
// left of its lots.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{Name: "points", Belongings: []customers.Belonging{
		{Table: "points_accounts", Kind: "points_accounts", Versioned: true},
		{Table: "points_holds", Kind: "points_holds", Versioned: true},
		{Table: "points_adjustments", Kind: "points_adjustments", Versioned: true},
	}}
}
