package wallets

import (
	"context"

	"entgo.io/ent/dialect/sql"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/ent/loyalty/walletprogramme"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// Programme is how stored value is kept. Amounts are in minor units.
type Programme struct {
	SpendOrder     walletprogramme.SpendOrder
	TopUpRules     []schema.TopUpRule
	TopUpMinimum   int64
	BalanceLimit   *int64
	BonusDays      int
	GiveBackDays   int
	Transferable   bool
	ApprovalLimit  *int64
	PINAboveAmount *int64
	CardDays       int
	CardLimit      *int64
}

func (s *Service) programme(ctx context.Context) (*loyalty.WalletProgramme, error) {
	return s.db.From(ctx).Loyalty.WalletProgramme.Get(ctx, 1)
}

// SetProgramme replaces how stored value is kept. What is on accounts keeps its
// instants.
//
// Errors: apperr.ErrVersionMismatch, ErrRules.
func (s *Service) SetProgramme(ctx context.Context, ifMatch *string, in Programme) (*loyalty.WalletProgramme, error) {
	seen := map[int64]bool{}
	for _, r := range in.TopUpRules {
		if seen[r.Amount] {
			return nil, ErrRules.At("/top_up_rules")
		}
		seen[r.Amount] = true
	}
	var out *loyalty.WalletProgramme
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p, err := tx.Loyalty.WalletProgramme.Query().ForUpdate(sql.WithLockTables(walletprogramme.Table)).Only(ctx)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, p.Version); err != nil {
			return err
		}
		u := p.Update().SetSpendOrder(in.SpendOrder).SetTopUpRules(in.TopUpRules).SetTopUpMinimum(in.TopUpMinimum).SetBonusDays(in.BonusDays).SetGiveBackDays(in.GiveBackDays).
			SetTransferable(in.Transferable).SetCardDays(in.CardDays).SetNillableBalanceLimit(in.BalanceLimit).SetNillableApprovalLimit(in.ApprovalLimit).
			SetNillablePinAboveAmount(in.PINAboveAmount).SetNillableCardLimit(in.CardLimit).AddVersion(1).SetUpdatedAt(s.clock.Now())
		if in.BalanceLimit == nil {
			u.ClearBalanceLimit()
		}
		if in.ApprovalLimit == nil {
			u.ClearApprovalLimit()
		}
		if in.PINAboveAmount == nil {
			u.ClearPinAboveAmount()
		}
		if in.CardLimit == nil {
			u.ClearCardLimit()
		}
		if out, err = u.Save(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "wallets.set_programme", ObjectType: "wallet_programme", ObjectID: "1", Changes: map[string]any{"to": in}})
		return nil
	})
	return out, err
}
