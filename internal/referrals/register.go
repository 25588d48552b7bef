package referrals

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/referral"
	"github.com/shuke-crm/shuke/ent/loyalty/referralcode"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

func uuids(all []uuid.UUID) pgarray.UUIDs { return all }

// Register notes that a customer came by a code.
//
// Errors: ErrOff, ErrCustomer, ErrCode, ErrSelf, ErrCyclic, ErrNotNew, ErrAlready.
func (s *Service) Register(ctx context.Context, code string, customerID uuid.UUID) (*loyalty.Referral, error) {
	programme, err := s.LoadProgramme(ctx)
	if err != nil {
		return nil, err
	}
	if !programme.Enabled {
		return nil, ErrOff.New()
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	code = strings.ToUpper(strings.TrimSpace(code))
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reach(ctx, customerID, ErrCustomer.At("/customer_id")); err != nil {
			return err
		}
		c, err := tx.Loyalty.ReferralCode.Query().Where(referralcode.Code(code), referralcode.StatusEQ(referralcode.StatusActive)).Only(ctx)
		if loyalty.IsNotFound(err) {
			return ErrCode.At("/code")
		}
		if err != nil {
			return err
		}
		if c.CustomerID == customerID {
			return ErrSelf.At("/code")
		}
		if err := lockCustomers(ctx, tx, c.CustomerID, customerID); err != nil {
			return err
		}
		if err := s.mayCome(ctx, tx, programme, customerID); err != nil {
			return err
		}
		if err := uncircular(ctx, tx, c.CustomerID, customerID); err != nil {
			return err
		}
		now := s.clock.Now()
		if err := tx.Loyalty.Referral.Create().SetID(id).SetCodeID(c.ID).SetCustomerID(customerID).SetCreatedAt(now).SetUpdatedAt(now).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "referrals.register", ObjectType: "referral", ObjectID: id.String(), Changes: map[string]any{"customer_id": customerID, "code_id": c.ID}})
		events.Emit(tx, events.Event{Type: EventRegistered, SubjectType: "customer", SubjectID: customerID, Payload: map[string]any{"referral_id": id, "customer_id": customerID, "referrer_id": c.CustomerID}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Referral(ctx, id)
}

// mayCome refuses customers who came by a code before, or are not new.
// Errors: ErrAlready, ErrNotNew.
func (s *Service) mayCome(ctx context.Context, tx *db.Tx, p *Programme, customerID uuid.UUID) error {
	came, err := tx.Loyalty.Referral.Query().Where(referral.CustomerID(customerID)).Exist(ctx)
	if err != nil {
		return err
	}
	if came {
		return ErrAlready.New()
	}
	var fresh bool
	err = tx.QueryRow(ctx, `SELECT created_at >= $2 AND NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = $1 AND o.paid_at IS NOT NULL AND o.cancelled_at IS NULL)
FROM customers WHERE id = $1 AND merged_into_id IS NULL`, customerID, s.clock.Start(s.clock.DayOf(s.clock.Now())).AddDate(0, 0, -p.ClaimDays)).Scan(&fresh)
	if err == nil && !fresh {
		err = ErrNotNew.New().Arg("days", p.ClaimDays)
	}
	return err
}

// uncircular refuses a customer who brought the referrer, at whatever remove.
// Plan: referrals_customer_idx and referral_codes_pkey, once a step.
//
// Error: ErrCyclic.
func uncircular(ctx context.Context, tx *db.Tx, referrer, customerID uuid.UUID) error {
	var circular bool
	err := tx.QueryRow(ctx, `WITH RECURSIVE above AS (
    SELECT $1::uuid AS id
    UNION SELECT c.customer_id FROM above a JOIN referrals r ON r.customer_id = a.id JOIN referral_codes c ON c.id = r.code_id
) SELECT EXISTS (SELECT FROM above WHERE id = $2)`, referrer, customerID).Scan(&circular)
	if err == nil && circular {
		err = ErrCyclic.At("/code")
	}
	return err
}
