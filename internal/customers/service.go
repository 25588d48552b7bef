package customers

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service works with.
type Deps struct {
	DB    *db.DB
	Clock *clock.Clock
	Keys  *crypto.Keyring
	Cache *cache.Client // hot profiles; may be down
	Pages *page.Codec
	Queue *jobs.Queue // without one there are no jobs
}

// Service owns customers and tags. It is safe for concurrent use.
type Service struct {
	db       *db.DB
	clock    *clock.Clock
	keys     *crypto.Keyring
	pages    *page.Codec
	queue    *jobs.Queue
	profiles *cache.Hot
	stats    *tokenStats
	blocks   blocks
	fields   fieldCache
	rules    ruleCache
	members  MemberSide

	followers []Follower
	retagged  func(context.Context, *db.Tx, Retagged) error
	holders   map[string]string // tables that keep custom fields of their own, by entity
}

// UseMembers connects the customers' own side; call it before serving.
func (s *Service) UseMembers(m MemberSide) { s.members = m }

// New makes the service.
func New(d Deps) *Service {
	s := &Service{
		db: d.DB, clock: d.Clock, keys: d.Keys, pages: d.Pages, queue: d.Queue,
		profiles: cache.NewHot(d.Cache, "profile"),
		stats:    &tokenStats{}, holders: map[string]string{},
	}
	if d.Queue != nil {
		jobs.RegisterVisible(d.Queue, jobHandOver, func(ctx context.Context, h handOver, p *jobs.Progress) (any, error) { return s.runHandOver(ctx, h, p) })
		jobs.RegisterVisible(d.Queue, jobAssign, s.runAssign)
		s.registerScan(d.Queue)
		s.registerAutoMerge(d.Queue)
		jobs.RegisterVisible(d.Queue, jobReplaceChoices, s.runReplaceChoices)
		jobs.RegisterVisible(d.Queue, jobTryRule, s.runTryRule)
		jobs.RegisterVisible(d.Queue, jobTags, s.runApplyTags)
		d.Queue.Every("customers.end_tags", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.EndTags(ctx); return err })
		d.Queue.Every("customers.automatic_tags_daily", jobs.DailyAt(d.Clock, 10*time.Minute), func(ctx context.Context) error { _, err := s.applyTags(ctx, nil); return err })
	}
	s.Follow(Follower{Name: "customers", Belongings: []Belonging{
		// What somebody has now stays with the merged record, which keeps its tags;
		// the survivor's own are noted as they get them.
		{Table: "customer_tag_history", Kind: "tag_history", Stays: "m.removed_at IS NULL"},
		// Of a group that both are in, the merged record stays a member.
		{Table: "customer_group_members", Kind: "groups", Stays: `EXISTS (SELECT FROM customer_group_members o JOIN customers x ON x.id = m.customer_id
			WHERE o.group_id = m.group_id AND o.customer_id = x.merged_into_id)`},
	}})
	return s
}

// Touch must be called in every transaction that changes what a customer's
// profile shows: the record, its tags, orders, returns, metrics. It voids the
// cached profile on all replicas just before the commit takes effect. It does
// no work in PostgreSQL and cannot fail.
func (s *Service) Touch(ctx context.Context, tx *db.Tx, ids ...uuid.UUID) {
	s.profiles.Touch(ctx, tx, ids...)
}

// ClearProfiles voids all cached profiles. Call it after a commit that changed
// something many profiles show: settings of RFM, the name of a store, a member
// of staff, a category or a tag.
func (s *Service) ClearProfiles(ctx context.Context) { s.profiles.Clear(ctx) }
