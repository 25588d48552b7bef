package inventory

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/stockreservation"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Wish is what to reserve in a store, and for how long.
type Wish struct {
	StoreID   uuid.UUID
	For       time.Duration
	Reference string
	Lines     []Line
}

// Reserve promises pieces to somebody, all lines or none. Reservations whose
// time is over make room, even if no job has ended them yet.
//
// Errors: ErrStore, ErrNamed, ErrVariant, ErrRepeated, ErrInsufficient.
func (s *Service) Reserve(ctx context.Context, in Wish) (*commerce.StockReservation, error) {
	var id uuid.UUID
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reaches(ctx, tx, in.StoreID); err != nil {
			return err
		}
		variants, err := s.variants(ctx, tx, in.Lines)
		if err != nil {
			return err
		}
		// In one go with what is free again, so that levels are locked in their order.
		over, err := s.due(ctx, tx, in.StoreID)
		if err != nil {
			return err
		}
		changes := over.freed
		for i, v := range variants {
			c := change{variant: v, freed: -in.Lines[i].Quantity, pointer: "/lines/" + strconv.Itoa(i) + "/quantity"}
			if at := slices.IndexFunc(changes, func(o change) bool { return o.variant == v }); at >= 0 {
				c.freed += changes[at].freed
				changes[at] = c
			} else {
				changes = append(changes, c)
			}
		}
		if err := s.promise(ctx, tx, in.StoreID, changes); err != nil {
			return err
		}
		if err := s.noteExpired(ctx, tx, over); err != nil {
			return err
		}
		if id, err = uuid.NewV7(); err != nil {
			return err
		}
		now := s.clock.Now()
		_, err = tx.Commerce.StockReservation.Create().SetID(id).SetStoreID(in.StoreID).SetExpiresAt(now.Add(in.For)).SetReference(strings.TrimSpace(in.Reference)).
			SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		lines := make([]*commerce.StockReservationLineCreate, len(variants))
		for i, v := range variants {
			line, err := uuid.NewV7()
			if err != nil {
				return err
			}
			lines[i] = tx.Commerce.StockReservationLine.Create().SetID(line).SetReservationID(id).SetVariantID(v).SetQuantity(in.Lines[i].Quantity)
		}
		if err := tx.Commerce.StockReservationLine.CreateBulk(lines...).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "inventory.reserve", ObjectType: "stock_reservation", ObjectID: id.String(), StoreID: &in.StoreID,
			Changes: map[string]any{"lines": len(lines)}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Reservation(ctx, id)
}

// Release gives reserved pieces free again.
// Errors: ErrReservationNotFound, ErrEnded.
func (s *Service) Release(ctx context.Context, id uuid.UUID) (*commerce.StockReservation, error) {
	err := s.end(ctx, id, "released", func(ctx context.Context, tx *db.Tx, r *commerce.StockReservation) error {
		return s.promise(ctx, tx, r.StoreID, freed(r))
	})
	if err != nil {
		return nil, err
	}
	return s.Reservation(ctx, id)
}

// Commit hands reserved pieces out: they are sold.
// Errors: ErrReservationNotFound, ErrEnded, ErrInsufficient (pieces that are
// reserved may have been used up by facts).
func (s *Service) Commit(ctx context.Context, id uuid.UUID) (*commerce.StockReservation, error) {
	err := s.end(ctx, id, "committed", func(ctx context.Context, tx *db.Tx, r *commerce.StockReservation) error {
		changes := freed(r)
		for i := range changes {
			changes[i].onHand = -changes[i].freed
		}
		_, err := s.post(ctx, tx, document{store: r.StoreID, kind: KindSale, origin: "reservation", originID: &r.ID, at: s.clock.Now()}, changes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Reservation(ctx, id)
}

// freed are the changes that undo a reservation's promises.
func freed(r *commerce.StockReservation) []change {
	out := make([]change, len(r.Edges.Lines))
	for i, l := range r.Edges.Lines {
		out[i] = change{variant: l.VariantID, freed: l.Quantity, pointer: "/lines/" + strconv.Itoa(i)}
	}
	return out
}

// end locks an open reservation, does what ends it and notes that.
func (s *Service) end(ctx context.Context, id uuid.UUID, status string, f func(context.Context, *db.Tx, *commerce.StockReservation) error) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		r, err := tx.Commerce.StockReservation.Query().Where(stockreservation.ID(id)).WithLines().ForUpdate().Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrReservationNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := s.reaches(ctx, tx, r.StoreID); err != nil {
			return err
		}
		if r.Status != stockreservation.StatusOpen {
			return ErrEnded.New().Arg("status", string(r.Status))
		}
		now := s.clock.Now()
		if status == "committed" && !r.ExpiresAt.After(now) {
			return ErrEnded.New().Arg("status", "expired")
		}
		if err := f(ctx, tx, r); err != nil {
			return err
		}
		if err := r.Update().SetStatus(stockreservation.Status(status)).AddVersion(1).SetUpdatedAt(now).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "inventory.reservation." + status, ObjectType: "stock_reservation", ObjectID: id.String(), StoreID: &r.StoreID})
		return nil
	})
}

// expireBatch is how many reservations are ended in one transaction.
const expireBatch = 200

// ExpireReservations ends reservations whose time is over and returns how many.
// The clock runs it each minute.
func (s *Service) ExpireReservations(ctx context.Context) (total int, err error) {
	for {
		var due []uuid.UUID
		err := s.db.From(ctx).Commerce.StockReservation.Query().Where(stockreservation.StatusEQ(stockreservation.StatusOpen), stockreservation.ExpiresAtLTE(s.clock.Now())).
			Order(stockreservation.ByExpiresAt()).Limit(1).Select(stockreservation.FieldStoreID).Scan(ctx, &due)
		if err != nil || len(due) == 0 {
			return total, err
		}
		var n int
		err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			n, err = s.expire(ctx, tx, due[0])
			return err
		})
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, nil // somebody else is at them
		}
		total += n
	}
}

// expire ends some reservations of a store whose time is over.
func (s *Service) expire(ctx context.Context, tx *db.Tx, store uuid.UUID) (int, error) {
	over, err := s.due(ctx, tx, store)
	if err != nil || len(over.ids) == 0 {
		return 0, err
	}
	if err := s.promise(ctx, tx, store, over.freed); err != nil {
		return 0, err
	}
	return len(over.ids), s.noteExpired(ctx, tx, over)
}

// overdue are locked reservations whose time is over, and what they free, of
// each variant once.
type overdue struct {
	ids   []uuid.UUID
	freed []change
}

// due locks some reservations of a store whose time is over; what somebody else
// has locked is being ended.
func (s *Service) due(ctx context.Context, tx *db.Tx, store uuid.UUID) (out overdue, err error) {
	rows, err := tx.Commerce.StockReservation.Query().
		Where(stockreservation.StoreID(store), stockreservation.StatusEQ(stockreservation.StatusOpen), stockreservation.ExpiresAtLTE(s.clock.Now())).
		Order(stockreservation.ByID()).Limit(expireBatch).WithLines().ForUpdate(sql.WithLockAction(sql.SkipLocked)).All(ctx)
	if err != nil {
		return out, err
	}
	sum := map[uuid.UUID]int64{}
	for _, r := range rows {
		out.ids = append(out.ids, r.ID)
		for _, l := range r.Edges.Lines {
			sum[l.VariantID] += l.Quantity
		}
	}
	for v, q := range sum {
		out.freed = append(out.freed, change{variant: v, freed: q})
	}
	return out, nil
}

func (s *Service) noteExpired(ctx context.Context, tx *db.Tx, over overdue) error {
	if len(over.ids) == 0 {
		return nil
	}
	return tx.Commerce.StockReservation.Update().Where(stockreservation.IDIn(over.ids...)).SetStatus(stockreservation.StatusExpired).AddVersion(1).
		SetUpdatedAt(s.clock.Now()).Exec(ctx)
}
