package wallets

import "github.com/shuke-crm/shuke/internal/customers"

// Follower has wallets and what was done with them follow merged customers. The
// ledger is of accounts and never changes: a wallet that goes back has what is left
// of its lots.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{Name: "wallets", Belongings: []customers.Belonging{
		{Table: "wallet_accounts", Kind: "wallet_accounts", Versioned: true},
		{Table: "wallet_payments", Kind: "wallet_payments", Versioned: true},
		{Table: "wallet_top_ups", Kind: "wallet_top_ups", Versioned: true},
		{Table: "wallet_adjustments", Kind: "wallet_adjustments", Versioned: true},
	}}
}
