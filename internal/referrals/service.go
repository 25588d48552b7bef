package referrals

import (
	"context"
	"crypto/rand"
	"math/big"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/referralcode"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/points"
)

// Deps is what the service is made of.
type Deps struct {
	DB        *db.DB
	Clock     *clock.Clock
	Pages     *page.Codec
	Customers *customers.Service
	Points    *points.Service
	Queue     *jobs.Queue // nil: nothing happens by the clock
}

// Service is who brings whom.
type Service struct {
	db        *db.DB
	clock     *clock.Clock
	pages     *page.Codec
	customers *customers.Service
	points    *points.Service
}

// New makes the service.
func New(d Deps) *Service {
	s := &Service{db: d.DB, clock: d.Clock, pages: d.Pages, customers: d.Customers, points: d.Points}
	if d.Queue != nil {
		d.Queue.Every("referrals.reward", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.RewardDue(ctx); return err })
	}
	return s
}

// Follower has codes and referrals follow merged customers.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{Name: "referrals", Belongings: []customers.Belonging{
		{Table: "referral_codes", Kind: "referral_codes", Versioned: true},
		{Table: "referrals", Kind: "referrals", Versioned: true},
	}}
}

// reach refuses customers beyond the caller's scope.
func (s *Service) reach(ctx context.Context, id uuid.UUID, refused *apperr.Error) error {
	_, err := s.db.From(ctx).CRM.Customer.Query().Where(customer.ID(id)).Select(customer.FieldID).Only(ctx)
	if crm.IsNotFound(err) {
		return refused
	}
	return err
}

// alphabet has no letters or digits that are read for one another.
const alphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"

// newCode makes a code of 8 characters at random: 850,000,000,000 of them.
func newCode() (string, error) {
	out := make([]byte, 8)
	for i := range out {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return "", err
		}
		out[i] = alphabet[n.Int64()]
	}
	return string(out), nil
}

// CodeOf is the code of a customer within the scope, made if there is none; of
// several, from merged records, the oldest.
//
// Error: ErrCustomerNotFound.
func (s *Service) CodeOf(ctx context.Context, customerID uuid.UUID) (out *loyalty.ReferralCode, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reach(ctx, customerID, ErrCustomerNotFound.New()); err != nil {
			return err
		}
		// Who asks at the same time waits here, and finds the code.
		if err := lockCustomers(ctx, tx, customerID); err != nil {
			return err
		}
		out, err = tx.Loyalty.ReferralCode.Query().Where(referralcode.CustomerID(customerID)).Order(referralcode.ByID()).First(ctx)
		if !loyalty.IsNotFound(err) {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		code, err := newCode()
		if err != nil {
			return err
		}
		now := s.clock.Now()
		out, err = tx.Loyalty.ReferralCode.Create().SetID(id).SetCustomerID(customerID).SetCode(code).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if db.Violated(err) == "referral_codes_code_key" { // once in a long while
			return db.ErrAgain
		}
		audit.Record(ctx, tx, audit.Entry{Action: "referrals.create_code", ObjectType: "referral_code", ObjectID: id.String(), Changes: map[string]any{"customer_id": customerID}})
		return err
	})
	return out, err
}

// SetCodeStatus enables or disables a code. Those who came by it stay.
//
// Errors: ErrCodeNotFound, apperr.ErrVersionMismatch.
func (s *Service) SetCodeStatus(ctx context.Context, id uuid.UUID, ifMatch *string, status referralcode.Status) (out *loyalty.ReferralCode, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := tx.Loyalty.ReferralCode.Query().Where(referralcode.ID(id)).ForUpdate().Only(ctx)
		if loyalty.IsNotFound(err) {
			return ErrCodeNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := s.reach(ctx, c.CustomerID, ErrCodeNotFound.New()); err != nil {
			return err
		}
		if err := etag.Check(ifMatch, c.Version); err != nil {
			return err
		}
		out, err = tx.Loyalty.ReferralCode.UpdateOne(c).SetStatus(status).SetVersion(c.Version + 1).SetUpdatedAt(s.clock.Now()).Save(ctx)
		audit.Record(ctx, tx, audit.Entry{Action: "referrals.update_code", ObjectType: "referral_code", ObjectID: id.String(), Changes: map[string]any{"from": c.Status, "to": status}})
		return err
	})
	return out, err
}

// lockCustomers locks customers in the order of their ids.
// Error: db.ErrAgain where one was merged since somebody looked.
func lockCustomers(ctx context.Context, tx *db.Tx, ids ...uuid.UUID) error {
	var merged bool
	err := tx.QueryRow(ctx, "SELECT coalesce(bool_or(merged_into_id IS NOT NULL), false) FROM (SELECT merged_into_id FROM customers WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE) c", uuids(ids)).Scan(&merged)
	if err == nil && merged {
		err = db.ErrAgain
	}
	return err
}
