package customers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Merging likely duplicates without a person: only where it is switched on, only
// above its threshold, and never where anything speaks against it. The rules are
// in docs/merging.md.

const (
	jobAutoMerge    = "customers.merge_automatically" // after a full search; people can watch it
	jobAutoMergeNew = "customers.merge_new"           // after the comparison of new customers
	autoMergeBatch  = 200
	// mostAlike is of how many likely pairs a customer may be part: who resembles
	// more people than that is test data or a placeholder, for a person to look at.
	mostAlike = 3
	// LeastAutoMerge is the lowest threshold.
	LeastAutoMerge = 0.95
)

// Who goes on when two are merged automatically.
const (
	KeepOldest        = "oldest"
	KeepLatestChanged = "latest_changed"
	KeepMostComplete  = "most_complete"
)

// AutoMerge is the setting; version 0 is the built-in one, which does nothing.
type AutoMerge struct {
	Enabled   bool       `json:"enabled"`
	Threshold float64    `json:"threshold"`
	Survivor  string     `json:"survivor"`
	MayDiffer []string   `json:"may_differ"` // identifiers of which both may have one, and not the same
	Version   int64      `json:"-"`
	UpdatedAt *time.Time `json:"-"`
}

// AutoMergeSetting reads the setting in force.
func (s *Service) AutoMergeSetting(ctx context.Context) (*AutoMerge, error) {
	return autoMergeSetting(ctx, s.db.From(ctx), "")
}

func autoMergeSetting(ctx context.Context, c *db.Clients, tail string) (*AutoMerge, error) {
	var raw []byte
	out := &AutoMerge{Threshold: 0.99, Survivor: KeepOldest, MayDiffer: []string{}}
	var at time.Time
	err := c.QueryRow(ctx, "SELECT value, version, updated_at FROM customer_merge_settings "+tail).Scan(&raw, &out.Version, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	if at = at.UTC(); out.Version > 0 {
		out.UpdatedAt = &at
	}
	return out, json.Unmarshal(raw, out)
}

// SetAutoMerge replaces the setting. What waits in the queue is merged after the
// next search. Errors: apperr.ErrVersionRequired, apperr.ErrVersionMismatch.
func (s *Service) SetAutoMerge(ctx context.Context, ifMatch *string, in AutoMerge) (*AutoMerge, error) {
	slices.Sort(in.MayDiffer)
	in.MayDiffer = slices.Compact(append([]string{}, in.MayDiffer...))
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		// Whoever is about to merge holds the row shared until commit: once it is
		// switched off, nothing more is merged.
		old, err := autoMergeSetting(ctx, tx.Clients, "FOR UPDATE")
		if err != nil {
			return err
		}
		if err := etag.Require(ifMatch, old.Version); err != nil {
			return err
		}
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		now := s.clock.Now()
		in.Version, in.UpdatedAt = old.Version+1, &now
		if _, err := tx.Exec(ctx, "UPDATE customer_merge_settings SET value = $1::jsonb, version = $2, updated_at = $3", string(raw), in.Version, now); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "customers.auto_merge_setting", ObjectType: "setting", ObjectID: "customers.auto_merge",
			Changes: map[string]any{"before": old, "after": in}})
		return nil
	})
	return &in, err
}

type autoMergeParameters struct {
	// Customers whose pairs are looked at; none for all of the queue.
	Customers []uuid.UUID `json:"customers,omitempty"`
}

// AutoMergeResult is what the job reports.
type AutoMergeResult struct {
	Merged  int64            `json:"merged"`
	Blocked map[string]int64 `json:"blocked"` // pairs left to people, by reason
}

func (s *Service) registerAutoMerge(q *jobs.Queue) {
	jobs.RegisterVisible(q, jobAutoMerge, func(ctx context.Context, p autoMergeParameters, progress *jobs.Progress) (any, error) {
		return s.autoMerge(auth.System(ctx, jobAutoMerge), p.Customers, progress)
	})
	jobs.Register(q, jobAutoMergeNew, func(ctx context.Context, p autoMergeParameters) error {
		_, err := s.autoMerge(auth.System(ctx, jobAutoMergeNew), p.Customers, &jobs.Progress{})
		return err
	})
}

// mergeAfterSearch starts the job for all of the queue, if it is switched on.
func (s *Service) mergeAfterSearch(ctx context.Context) (*uuid.UUID, error) {
	setting, err := s.AutoMergeSetting(ctx)
	if err != nil || !setting.Enabled {
		return nil, err
	}
	var id *uuid.UUID
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		started, err := s.queue.StartVisible(auth.System(ctx, jobScan), tx, jobAutoMerge, autoMergeParameters{})
		if err == nil {
			id = &started.ID
		}
		return err
	})
	return id, err
}

// mergeAfterComparison has the pairs of new customers looked at once they are
// committed, if it is switched on and one of them is likely enough.
func (s *Service) mergeAfterComparison(ctx context.Context, tx *db.Tx, ids []uuid.UUID, found []foundPair) error {
	if len(found) == 0 || s.queue == nil {
		return nil
	}
	setting, err := autoMergeSetting(ctx, tx.Clients, "")
	if err != nil || !setting.Enabled || !slices.ContainsFunc(found, func(p foundPair) bool { return p.score >= setting.Threshold }) {
		return err
	}
	return s.queue.Enqueue(ctx, tx, jobAutoMergeNew, autoMergeParameters{ids})
}

// autoMergePairsSQL are open pairs of active customers above a threshold, but for
// those that were merged once (whoever undid that has decided), those scored
// before one of the two went on in place of somebody (the score is of another
// record; the next search gives a new one), and those of customers who resemble
// many.
var autoMergePairsSQL = `
SELECT d.id, d.left_id, d.right_id, d.score FROM duplicate_candidates d
JOIN customers l ON l.id = d.left_id AND l.archived_at IS NULL
JOIN customers r ON r.id = d.right_id AND r.archived_at IS NULL
WHERE d.status = 'open' AND d.score >= $1 AND ($2::float8 IS NULL OR (d.score, d.id) < ($2, $3::uuid))
AND ($4::uuid[] IS NULL OR d.left_id = ANY($4) OR d.right_id = ANY($4))
AND NOT EXISTS (SELECT FROM customer_merges m WHERE (m.survivor_id, m.merged_id) IN ((d.left_id, d.right_id), (d.right_id, d.left_id)))
AND NOT EXISTS (SELECT FROM customer_merges m WHERE m.status = 'done' AND m.survivor_id IN (d.left_id, d.right_id) AND m.merged_at >= d.updated_at)
AND (SELECT count(*) FROM duplicate_candidates o WHERE o.status = 'open' AND o.score >= $1 AND d.left_id IN (o.left_id, o.right_id)) <= ` + itoa(mostAlike) + `
AND (SELECT count(*) FROM duplicate_candidates o WHERE o.status = 'open' AND o.score >= $1 AND d.right_id IN (o.left_id, o.right_id)) <= ` + itoa(mostAlike) + `
ORDER BY d.score DESC, d.id DESC LIMIT ` + itoa(autoMergeBatch)

type likelyPair struct {
	id, left, right uuid.UUID
	score           float64
}

func (s *Service) autoMergePairs(ctx context.Context, threshold float64, of []uuid.UUID, after *likelyPair) ([]likelyPair, error) {
	var score *float64
	var id *uuid.UUID
	if after != nil {
		score, id = &after.score, &after.id
	}
	var those any
	if len(of) > 0 {
		those = pgarray.UUIDs(of)
	}
	rows, err := s.db.Query(ctx, autoMergePairsSQL, threshold, score, id, those)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []likelyPair
	for rows.Next() {
		var p likelyPair
		if err := rows.Scan(&p.id, &p.left, &p.right, &p.score); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// autoMerge works through the queue, the likeliest first, each merge a
// transaction of its own. Nobody is merged twice in one run: what a merge made of
// somebody has to be searched for anew before it is compared again.
func (s *Service) autoMerge(ctx context.Context, of []uuid.UUID, progress *jobs.Progress) (*AutoMergeResult, error) {
	out := &AutoMergeResult{Blocked: map[string]int64{}}
	touched := map[uuid.UUID]bool{}
	var after *likelyPair
	for looked := int64(0); ; {
		setting, err := s.AutoMergeSetting(ctx)
		if err != nil || !setting.Enabled {
			return out, err
		}
		pairs, err := s.autoMergePairs(ctx, setting.Threshold, of, after)
		if err != nil {
			return out, err
		}
		for i := range pairs {
			if progress.Cancelled() {
				return out, jobs.ErrCancelled
			}
			p := &pairs[i]
			if touched[p.left] || touched[p.right] {
				out.Blocked["merged_already"]++
				continue
			}
			why, err := s.autoMergePair(ctx, p)
			switch {
			case err != nil:
				return out, fmt.Errorf("pair %s: %w", p.id, err)
			case why != "":
				out.Blocked[why]++
			default:
				out.Merged++
				touched[p.left], touched[p.right] = true, true
			}
			looked++
			progress.Set(looked, 0)
		}
		if len(pairs) < autoMergeBatch {
			return out, nil
		}
		after = &pairs[len(pairs)-1]
	}
}

// autoMergePair merges a pair, or says why not.
func (s *Service) autoMergePair(ctx context.Context, p *likelyPair) (why string, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		setting, err := autoMergeSetting(ctx, tx.Clients, "FOR SHARE")
		if err != nil {
			return err
		}
		if why = "switched_off"; !setting.Enabled {
			return nil
		}
		rows, err := s.lock(ctx, tx, p.left, p.right)
		if err != nil {
			return err
		}
		var open bool
		err = tx.QueryRow(ctx, "SELECT status = 'open' AND score >= $2 FROM duplicate_candidates WHERE id = $1 FOR UPDATE", p.id, setting.Threshold).Scan(&open)
		if why = "decided"; errors.Is(err, sql.ErrNoRows) || err == nil && (!open || len(rows) < 2) {
			return nil
		}
		if err != nil {
			return err
		}
		one, other, err := s.openPair(ctx, rows, p.left, p.right)
		if err != nil {
			return err
		}
		survivor, merged := setting.order(one, other)
		if why = setting.conflict(survivor, merged); why != "" {
			return nil
		}
		blockers, _, err := s.mergeBlockers(ctx, tx.Clients, survivor, merged, nil)
		if err != nil {
			return err
		}
		if len(blockers) > 0 {
			why = apperr.From(blockers[0]).Def.Code
			return nil
		}
		_, err = s.merge(ctx, tx, rows, survivor, merged, nil, &p.score)
		return err
	})
	return why, err
}

// order says who goes on.
func (a *AutoMerge) order(one, other *Customer) (survivor, merged *Customer) {
	older := func() bool {
		if c := one.CreatedAt.Compare(other.CreatedAt); c != 0 {
			return c < 0
		}
		return compareIDs(one.ID, other.ID) < 0
	}
	first := older()
	switch a.Survivor {
	case KeepLatestChanged:
		if c := one.UpdatedAt.Compare(other.UpdatedAt); c != 0 {
			first = c > 0
		}
	case KeepMostComplete:
		if m, n := completeness(one), completeness(other); m != n {
			first = m > n
		}
	}
	if first {
		return one, other
	}
	return other, one
}

// completeness is how many fields a customer has something in.
func completeness(c *Customer) (n int) {
	for i := range mergeFields {
		if !mergeFields[i].empty(c) {
			n++
		}
	}
	return n
}

// conflict names an identifier of which both have one, and not the same.
func (a *AutoMerge) conflict(one, other *Customer) string {
	for i := range mergeFields {
		f := &mergeFields[i]
		if f.unique && !f.empty(one) && !f.empty(other) && !f.same(one, other) && !slices.Contains(a.MayDiffer, f.name) {
			return "different_" + f.name
		}
	}
	return ""
}
