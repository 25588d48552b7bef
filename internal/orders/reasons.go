package orders

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/returnreason"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// AddReason adds a reason of returns.
// Error: ErrReasonTaken.
func (s *Service) AddReason(ctx context.Context, code, name string, customerFault bool) (out *commerce.ReturnReason, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		now := s.clock.Now()
		out, err = tx.Commerce.ReturnReason.Create().SetID(id).SetCode(code).SetName(name).SetCustomerFault(customerFault).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if db.Violated(err) == "return_reasons_code_key" {
			return ErrReasonTaken.At("/code")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "orders.reason.create", ObjectType: "return_reason", ObjectID: id.String(), Changes: map[string]any{"code": code}})
		return err
	})
	return out, err
}

// ReasonChange is what to change of a reason; nil leaves a part as it is.
type ReasonChange struct {
	Name          *string
	CustomerFault *bool
	Status        *string
}

// ChangeReason changes a reason of returns.
// Errors: ErrReasonNotFound, apperr.ErrVersionMismatch.
func (s *Service) ChangeReason(ctx context.Context, id uuid.UUID, ifMatch *string, in ReasonChange) (out *commerce.ReturnReason, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		r, err := tx.Commerce.ReturnReason.Query().Where(returnreason.ID(id)).ForUpdate().Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrReasonNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, r.Version); err != nil {
			return err
		}
		u := r.Update().SetNillableName(in.Name).SetNillableCustomerFault(in.CustomerFault).AddVersion(1).SetUpdatedAt(s.clock.Now())
		if in.Status != nil {
			u.SetStatus(returnreason.Status(*in.Status))
		}
		out, err = u.Save(ctx)
		audit.Record(ctx, tx, audit.Entry{Action: "orders.reason.update", ObjectType: "return_reason", ObjectID: id.String(), Changes: map[string]any{"code": r.Code}})
		return err
	})
	return out, err
}
