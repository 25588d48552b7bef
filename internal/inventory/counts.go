package inventory

import (
	"context"
	"strconv"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/predicate"
	"github.com/shuke-crm/shuke/ent/commerce/stockcount"
	"github.com/shuke-crm/shuke/ent/commerce/stockcountline"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Count is a count with its sums.
type Count struct {
	*commerce.StockCount
	Lines, Differing, Variance int64 // variance: pieces counted less expected
}

// BeginCount opens a count in a store.
// Error: ErrStore.
func (s *Service) BeginCount(ctx context.Context, store uuid.UUID, note string) (*Count, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reaches(ctx, tx, store); err != nil {
			return err
		}
		now := s.clock.Now()
		audit.Record(ctx, tx, audit.Entry{Action: "inventory.count.create", ObjectType: "stock_count", ObjectID: id.String(), StoreID: &store})
		return tx.Commerce.StockCount.Create().SetID(id).SetStoreID(store).SetNote(strings.TrimSpace(note)).SetCreatedAt(now).SetUpdatedAt(now).Exec(ctx)
	})
	if err != nil {
		return nil, err
	}
	return s.Count(ctx, id)
}

// AddLines writes down what was counted, with what the book says now.
// Errors: ErrCountNotFound, ErrCountState, ErrStore, ErrNamed, ErrVariant,
// ErrRepeated.
func (s *Service) AddLines(ctx context.Context, id uuid.UUID, lines []Line) (*Count, error) {
	return s.stepOfCount(ctx, id, "add_lines", []stockcount.Status{stockcount.StatusOpen}, func(ctx context.Context, tx *db.Tx, c *commerce.StockCount) (*commerce.StockCountUpdateOne, error) {
		variants, err := s.variants(ctx, tx, lines)
		if err != nil {
			return nil, err
		}
		// Locked, so that no sale comes between the book and the line.
		levels, err := s.lock(ctx, tx, c.StoreID, variants)
		if err != nil {
			return nil, err
		}
		ids, counted, expected := make(pgarray.UUIDs, len(lines)), make([]int64, len(lines)), make([]int64, len(lines))
		for i, v := range variants {
			if ids[i], err = uuid.NewV7(); err != nil {
				return nil, err
			}
			counted[i], expected[i] = lines[i].Quantity, levels[v].onHand
		}
		_, err = tx.Exec(ctx, `INSERT INTO stock_count_lines (id, count_id, variant_id, expected_quantity, counted_quantity, counted_at)
SELECT t.id, $1, t.variant_id, t.expected, t.counted, $6 FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[]) AS t (id, variant_id, expected, counted)
ON CONFLICT (count_id, variant_id) DO UPDATE SET expected_quantity = excluded.expected_quantity, counted_quantity = excluded.counted_quantity, counted_at = excluded.counted_at`,
			c.ID, ids, pgarray.UUIDs(variants), pq.Array(expected), pq.Array(counted), s.clock.Now())
		return c.Update(), err
	})
}

// Submit hands a count in.
// Errors: ErrCountNotFound, ErrCountState, ErrStore, ErrCountEmpty.
func (s *Service) Submit(ctx context.Context, id uuid.UUID) (*Count, error) {
	return s.stepOfCount(ctx, id, "submit", []stockcount.Status{stockcount.StatusOpen}, func(ctx context.Context, tx *db.Tx, c *commerce.StockCount) (*commerce.StockCountUpdateOne, error) {
		if any, err := c.QueryLines().Exist(ctx); err != nil || !any {
			return nil, orElse(err, ErrCountEmpty.New())
		}
		return c.Update().SetStatus(stockcount.StatusSubmitted).SetSubmittedBy(auth.Must(ctx).Name).SetSubmittedAt(s.clock.Now()), nil
	})
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Approve books the differences of a count. What was sold since a line was
// written is not missing: levels change by the difference, they are not set.
// Errors: ErrCountNotFound, ErrCountState, ErrStore, ErrOwnCount,
// ErrInsufficient (less is left than is missing: count again).
func (s *Service) Approve(ctx context.Context, id uuid.UUID) (*Count, error) {
	return s.stepOfCount(ctx, id, "approve", []stockcount.Status{stockcount.StatusSubmitted}, func(ctx context.Context, tx *db.Tx, c *commerce.StockCount) (*commerce.StockCountUpdateOne, error) {
		actor := auth.Must(ctx)
		if c.SubmittedBy != nil && *c.SubmittedBy == actor.Name {
			return nil, ErrOwnCount.New()
		}
		lines, err := c.QueryLines().Where(differing).Order(commerce.Asc("variant_id")).All(ctx)
		if err != nil {
			return nil, err
		}
		changes := make([]change, len(lines))
		for i, l := range lines {
			changes[i] = change{variant: l.VariantID, onHand: l.CountedQuantity - l.ExpectedQuantity, pointer: "/lines/" + strconv.Itoa(i)}
		}
		now := s.clock.Now()
		if len(changes) > 0 {
			if _, err := s.post(ctx, tx, document{store: c.StoreID, kind: KindCount, origin: "count", originID: &c.ID, at: now}, changes); err != nil {
				return nil, err
			}
		}
		// Tickets of tills that come later, but are from before, are in the count.
		if _, err := tx.Exec(ctx, `UPDATE stock_levels v SET counted_at = greatest(v.counted_at, l.counted_at) FROM stock_count_lines l
WHERE l.count_id = $1 AND v.store_id = $2 AND v.variant_id = l.variant_id`, c.ID, c.StoreID); err != nil {
			return nil, err
		}
		return c.Update().SetStatus(stockcount.StatusApproved).SetApprovedBy(actor.Name).SetApprovedAt(now), nil
	})
}

// Reopen has a count that was handed in done again.
// Errors: ErrCountNotFound, ErrCountState, ErrStore.
func (s *Service) Reopen(ctx context.Context, id uuid.UUID) (*Count, error) {
	return s.stepOfCount(ctx, id, "reopen", []stockcount.Status{stockcount.StatusSubmitted}, func(_ context.Context, _ *db.Tx, c *commerce.StockCount) (*commerce.StockCountUpdateOne, error) {
		return c.Update().SetStatus(stockcount.StatusOpen).ClearSubmittedBy().ClearSubmittedAt(), nil
	})
}

// CancelCount gives a count up.
// Errors: ErrCountNotFound, ErrCountState, ErrStore.
func (s *Service) CancelCount(ctx context.Context, id uuid.UUID) (*Count, error) {
	return s.stepOfCount(ctx, id, "cancel", []stockcount.Status{stockcount.StatusOpen, stockcount.StatusSubmitted}, func(_ context.Context, _ *db.Tx, c *commerce.StockCount) (*commerce.StockCountUpdateOne, error) {
		return c.Update().SetStatus(stockcount.StatusCancelled), nil
	})
}

// stepOfCount locks a count that must be in one of some states, and changes it.
func (s *Service) stepOfCount(ctx context.Context, id uuid.UUID, what string, in []stockcount.Status, f func(context.Context, *db.Tx, *commerce.StockCount) (*commerce.StockCountUpdateOne, error)) (*Count, error) {
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := tx.Commerce.StockCount.Query().Where(stockcount.ID(id)).ForUpdate().Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrCountNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := s.reaches(ctx, tx, c.StoreID); err != nil {
			return err
		}
		allowed := false
		for _, status := range in {
			allowed = allowed || c.Status == status
		}
		if !allowed {
			return ErrCountState.New().Arg("status", string(c.Status))
		}
		change, err := f(ctx, tx, c)
		if err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "inventory.count." + what, ObjectType: "stock_count", ObjectID: id.String(), StoreID: &c.StoreID})
		return change.AddVersion(1).SetUpdatedAt(s.clock.Now()).Exec(ctx)
	})
	if err != nil {
		return nil, err
	}
	return s.Count(ctx, id)
}

func differing(s *sql.Selector) {
	s.Where(sql.ColumnsNEQ(s.C(stockcountline.FieldCountedQuantity), s.C(stockcountline.FieldExpectedQuantity)))
}

// Count reads one with its sums. Error: ErrCountNotFound.
func (s *Service) Count(ctx context.Context, id uuid.UUID) (*Count, error) {
	v, err := s.db.From(ctx).Commerce.StockCount.Query().Where(stockcount.ID(id)).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrCountNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	out, err := s.summed(ctx, []*commerce.StockCount{v})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// summed adds the sums to counts, by one query.
func (s *Service) summed(ctx context.Context, all []*commerce.StockCount) ([]*Count, error) {
	out, at, ids := make([]*Count, len(all)), map[uuid.UUID]*Count{}, make(pgarray.UUIDs, len(all))
	for i, c := range all {
		out[i] = &Count{StockCount: c}
		at[c.ID], ids[i] = out[i], c.ID
	}
	rows, err := s.db.From(ctx).Query(ctx, `SELECT count_id, count(*), count(*) FILTER (WHERE counted_quantity <> expected_quantity), sum(counted_quantity - expected_quantity)
FROM stock_count_lines WHERE count_id = ANY($1::uuid[]) GROUP BY count_id`, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var c Count
		if err := rows.Scan(&id, &c.Lines, &c.Differing, &c.Variance); err != nil {
			return nil, err
		}
		at[id].Lines, at[id].Differing, at[id].Variance = c.Lines, c.Differing, c.Variance
	}
	return out, rows.Err()
}

// Counts lists counts within the scope; empty parts do not filter.
// Error: apperr.ErrBadCursor.
func (s *Service) Counts(ctx context.Context, store *uuid.UUID, status string, asked Asked) (*page.Of[*Count], error) {
	l := page.NewList("/v1/stock-counts", asked.Limit)
	var where []predicate.StockCount
	if store != nil {
		l.Filters.Set("store_id", store.String())
		where = append(where, stockcount.StoreID(*store))
	}
	if status != "" {
		l.Filters.Set("status", status)
		where = append(where, stockcount.StatusEQ(stockcount.Status(status)))
	}
	q := s.db.From(ctx).Commerce.StockCount.Query().Where(where...)
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*Count, error) {
		if after != nil {
			q.Where(stockcount.IDLT(*after))
		}
		found, err := q.Order(stockcount.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
		if err != nil {
			return nil, err
		}
		return s.summed(ctx, found)
	}, func(v *Count) uuid.UUID { return v.ID })
}

// CountLines lists what was counted, in that order; differingOnly: where it is not
// what the book said. Errors: ErrCountNotFound, apperr.ErrBadCursor.
func (s *Service) CountLines(ctx context.Context, id uuid.UUID, differingOnly bool, asked Asked) (*page.Of[*commerce.StockCountLine], error) {
	if _, err := s.Count(ctx, id); err != nil {
		return nil, err
	}
	l := page.NewList("/v1/stock-counts/"+id.String()+"/lines", asked.Limit)
	q := s.db.From(ctx).Commerce.StockCountLine.Query().Where(stockcountline.CountID(id))
	if differingOnly {
		l.Filters.Set("differing", "true")
		q.Where(differing)
	}
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*commerce.StockCountLine, error) {
		if after != nil {
			q.Where(stockcountline.IDGT(*after))
		}
		return q.Order(stockcountline.ByID()).Limit(limit).WithVariant(withTitle).All(ctx)
	}, func(v *commerce.StockCountLine) uuid.UUID { return v.ID })
}
