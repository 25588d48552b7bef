package membership

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
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
	Queue     *jobs.Queue
}

// Service is the tiers and who is in them.
type Service struct {
	db        *db.DB
	clock     *clock.Clock
	pages     *page.Codec
	customers *customers.Service
	points    *points.Service
	queue     *jobs.Queue

	mu    sync.Mutex
	known []*Scheme // versions read so far: they never change
	all   []reign   // of them
	at    time.Time // when somebody looked last
}

// New makes the service and registers its jobs.
func New(d Deps) *Service {
	s := &Service{db: d.DB, clock: d.Clock, pages: d.Pages, customers: d.Customers, points: d.Points, queue: d.Queue}
	if d.Queue != nil {
		s.register(d.Queue)
	}
	return s
}

// reigns reads which scheme was in force when; none without any. It is not for a
// transaction that has written a version: that one may never come to be.
func (s *Service) reigns(ctx context.Context, c *db.Clients) ([]reign, error) {
	s.mu.Lock()
	known, all := s.known, s.all
	s.mu.Unlock()
	rows, err := c.Query(ctx, "SELECT number, document, in_force_at FROM tier_schemes WHERE number > $1 ORDER BY number", len(known))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	n := len(known)
	known = slices.Clip(known)
	for rows.Next() {
		v := &Scheme{}
		var raw []byte
		if err := rows.Scan(&v.Number, &raw, &v.From); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, v); err != nil {
			return nil, err
		}
		v.sort()
		known = append(known, v)
	}
	if err := rows.Err(); err != nil || len(known) == n {
		return all, err
	}
	all = reigns(s.clock, known)
	s.mu.Lock()
	if len(known) > len(s.known) {
		s.known, s.all = known, all
	}
	s.mu.Unlock()
	return all, nil
}

// PointsPercent says by how many per cent a tier's members earn points of orders;
// 0: as everybody. A change of the scheme is known within a second.
func (s *Service) PointsPercent(ctx context.Context, tier string) (int64, error) {
	s.mu.Lock()
	all, fresh := s.all, time.Since(s.at) < time.Second
	s.mu.Unlock()
	if !fresh {
		var err error
		if all, err = s.reigns(ctx, s.db.From(ctx)); err != nil {
			return 0, err
		}
		s.mu.Lock()
		s.at = time.Now()
		s.mu.Unlock()
	}
	if scheme := inForce(all, s.clock.Today()); scheme != nil {
		if t := scheme.Tier(tier); t != nil {
			return t.Benefits.PointsMultiplierPercent, nil
		}
	}
	return 0, nil
}

// BenefitsOf says what a tier gives today; nothing for no tier.
func (s *Service) BenefitsOf(ctx context.Context, c *db.Clients, tier string) (Benefits, error) {
	if tier == "" {
		return Benefits{}, nil
	}
	scheme, err := s.inForceNow(ctx, c)
	if err != nil {
		return Benefits{}, err
	}
	if t := scheme.Tier(tier); t != nil {
		return t.Benefits, nil
	}
	return Benefits{}, nil
}

// inForceNow is the scheme of today; nil without any.
func (s *Service) inForceNow(ctx context.Context, c *db.Clients) (*Scheme, error) {
	all, err := s.reigns(ctx, c)
	if err != nil {
		return nil, err
	}
	return inForce(all, s.clock.Today()), nil
}

// reach refuses customers beyond the caller's scope.
func (s *Service) reach(ctx context.Context, id uuid.UUID) error {
	_, err := s.db.From(ctx).CRM.Customer.Query().Where(customer.ID(id)).Select(customer.FieldID).Only(ctx)
	if crm.IsNotFound(err) {
		return ErrCustomerNotFound.New()
	}
	return err
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	v := t.UTC()
	return &v
}
