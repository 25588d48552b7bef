package orders

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/predicate"
	"github.com/shuke-crm/shuke/ent/commerce/shipment"
	"github.com/shuke-crm/shuke/ent/commerce/trackingevent"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/logistics"
	"github.com/shuke-crm/shuke/internal/platform/outside"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

const (
	// silentAfter is how long a provider may tell nothing of a parcel before it is asked.
	silentAfter = 4 * time.Hour
	// followFor is how long a parcel is asked about of which nothing becomes known.
	followFor = 60 * 24 * time.Hour
	// refusedMost is how often a provider may refuse to answer before that is believed.
	refusedMost = 5
	// abortsMost is how often a provider may give up before we do; until then it is
	// asked to follow the parcel again.
	abortsMost = 3
)

// carrierAborted is the tracking error of parcels that the provider gave up.
const carrierAborted = "aborted"

// carrierCode is a carrier as tracking providers write it.
func carrierCode(carrier string) string {
	if carrier == "sf" {
		return logistics.SFCarrier
	}
	return carrier
}

// track has a new parcel followed where a provider is configured for its carrier.
func (s *Service) track(create *commerce.ShipmentCreate, in Parcel, now time.Time) {
	if in.Carrier == nil || in.TrackingNumber == nil {
		return
	}
	if t, err := s.outside.NeedTracker(carrierCode(*in.Carrier)); err == nil {
		create.SetTracker(shipment.Tracker(t.Name())).SetTracking(shipment.TrackingPending).SetNextCheckAt(now)
	}
}

// trackingSalt is what pushes about a number are signed with. It follows from
// the number: two orders in one parcel have the same.
func (s *Service) trackingSalt(number string) string {
	return hex.EncodeToString(s.keys.Index("shipments.salt", number))
}

// CheckParcels asks providers to follow new parcels, and about those of which
// they have told nothing for a while. The clock runs it every ten seconds; what
// one process has taken, others leave alone until the next time is due.
func (s *Service) CheckParcels(ctx context.Context) (total int, err error) {
	for {
		ids, err := s.claimDue(ctx, `
UPDATE shipments SET attempts = attempts + 1, next_check_at = $1::timestamptz + least(interval '1 minute' * (1 << least(attempts, 9)::int), interval '6 hours')
WHERE id IN (SELECT id FROM shipments WHERE next_check_at <= $1 ORDER BY next_check_at, id LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id`)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		for _, id := range ids {
			// One parcel's trouble is not the others': it is asked about again.
			if err := s.checkParcel(ctx, id); err != nil {
				s.log.WarnContext(ctx, "a parcel could not be checked", "shipment_id", id, "error", err)
			}
			total++
		}
	}
}

// checkParcel asks about one parcel, or to have it followed.
func (s *Service) checkParcel(ctx context.Context, id uuid.UUID) error {
	p, err := s.db.Commerce.Shipment.Query().Where(shipment.ID(id)).WithOrder().Only(ctx)
	if err != nil {
		return err
	}
	if p.Tracker == nil || p.Carrier == nil || p.TrackingNumber == nil || *p.Tracking == shipment.TrackingEnded || *p.Tracking == shipment.TrackingRefused {
		return s.db.Commerce.Shipment.UpdateOneID(id).ClearNextCheckAt().Exec(ctx)
	}
	ask := logistics.Parcel{Carrier: carrierCode(*p.Carrier), Number: *p.TrackingNumber}
	if ask.Carrier == logistics.SFCarrier { // no other wants to know
		private, err := s.private(ctx, "orders", p.OrderID, p.Edges.Order.CustomerID, p.Edges.Order.PrivateSealed)
		if err != nil {
			return err
		}
		if private.Recipient != nil {
			ask.Phone = pii.Last4(private.Recipient.Phone)
		}
	}
	if *p.Tracker == shipment.TrackerKuaidi100 && *p.Tracking == shipment.TrackingPending {
		return s.subscribe(ctx, p, ask)
	}
	tracker, err := s.tracker(*p.Tracker)
	if err != nil {
		return err
	}
	track, err := tracker.Query(ctx, ask)
	switch {
	case logistics.ErrNotFound.Is(err) && s.clock.Now().Sub(p.SentAt) > followFor:
		return s.told(ctx, id, news{ends: true})
	case logistics.ErrNotFound.Is(err):
		return s.told(ctx, id, news{})
	case logistics.ErrRefused.Is(err) && p.Attempts >= refusedMost:
		return errors.Join(err, s.told(ctx, id, news{refused: err}))
	case err != nil:
		return err
	}
	return s.told(ctx, id, news{track: track})
}

func (s *Service) tracker(name shipment.Tracker) (logistics.Tracker, error) {
	switch {
	case name == shipment.TrackerSf && s.outside.SF != nil:
		return s.outside.SF, nil
	case name == shipment.TrackerKuaidi100 && s.outside.Kuaidi100 != nil:
		return s.outside.Kuaidi100, nil
	}
	return nil, outside.ErrNoTracking.New()
}

// subscribe asks Kuaidi100 to follow a parcel. Asking twice is fine.
func (s *Service) subscribe(ctx context.Context, p *commerce.Shipment, ask logistics.Parcel) error {
	if s.outside.Kuaidi100 == nil {
		return outside.ErrNoTracking.New()
	}
	err := s.outside.Kuaidi100.Subscribe(ctx, logistics.Subscription{Parcel: ask, CallbackURL: s.CallbackURL(logistics.Kuaidi100Name), Salt: s.trackingSalt(ask.Number)})
	if logistics.ErrRefused.Is(err) {
		return errors.Join(err, s.told(ctx, p.ID, news{refused: err}))
	}
	if err != nil {
		return err
	}
	return s.told(ctx, p.ID, news{})
}

// news is what a provider said of a parcel; the zero value: it follows the
// parcel, and knows nothing of it yet.
type news struct {
	track     logistics.Track
	was       string // the carrier before it was corrected
	rewritten bool   // steps that are not in the history any more are taken back
	aborted   bool   // it follows the parcel no longer, though it has not arrived
	ends      bool   // it follows the parcel no longer
	refused   error  // it does not follow the parcel
}

func (s *Service) told(ctx context.Context, id uuid.UUID, n news) error {
	return s.db.InTx(auth.System(ctx, "tracking"), func(ctx context.Context, tx *db.Tx) error { return s.take(ctx, tx, id, n) })
}

// take books what a provider said of a parcel: once, whoever brings it (a push, a
// repetition, the clock) and in whatever order.
func (s *Service) take(ctx context.Context, tx *db.Tx, id uuid.UUID, n news) error {
	seen, err := tx.Commerce.Shipment.Query().Where(shipment.ID(id)).Only(ctx)
	if err != nil {
		return err
	}
	c, err := s.lock(ctx, tx, seen.OrderID, "tracking")
	if err != nil {
		return err
	}
	p, err := tx.Commerce.Shipment.Query().Where(shipment.ID(id)).ForUpdate().Only(ctx)
	if err != nil {
		return err
	}
	if p.CarrierWas != nil && n.was == "" && n.track.Carrier == *p.CarrierWas {
		return nil // from before the carrier was corrected
	}
	was, now := *p, s.clock.Now()
	if err := s.keepSteps(ctx, tx, c, p, n); err != nil {
		return err
	}
	p.Version++
	hear(p, n, now)
	if err := saveTracking(ctx, tx, p, now); err != nil {
		return err
	}
	c.details["shipment_id"] = p.ID
	if p.Status != was.Status {
		c.details["status"] = []shipment.Status{was.Status, p.Status}
		if e, ok := eventOfParcel[p.Status]; ok {
			c.emits, c.parcel = append(c.emits, e), p
		}
	}
	if *p.Carrier != *was.Carrier {
		c.details["carrier"] = []string{*was.Carrier, *p.Carrier}
	}
	if *p.Tracking != *was.Tracking {
		c.details["tracking"] = []shipment.Tracking{*was.Tracking, *p.Tracking}
	}
	if len(c.details) == 1 { // more steps of the same way
		return nil
	}
	if err := s.arrived(ctx, tx, c, p); err != nil {
		return err
	}
	return s.finish(ctx, tx, c)
}

// eventOfParcel is what it is called when a parcel comes into a state.
var eventOfParcel = map[shipment.Status]string{shipment.StatusOutForDelivery: EventOutForDelivery, shipment.StatusDelivered: EventDelivered, shipment.StatusException: EventException,
	shipment.StatusReturned: EventParcelReturned}

// arrived completes an order that was sent wholly and of which all parcels have
// arrived.
func (s *Service) arrived(ctx context.Context, tx *db.Tx, c *changing, p *commerce.Shipment) error {
	if p.Status != shipment.StatusDelivered || c.o.Status != order.StatusShipped {
		return nil
	}
	more, err := tx.Commerce.Shipment.Query().Where(shipment.OrderID(c.o.ID), shipment.IDNEQ(p.ID), shipment.StatusNEQ(shipment.StatusDelivered)).Exist(ctx)
	if err != nil || more {
		return err
	}
	now := s.clock.Now()
	c.o.Status, c.o.CompletedAt = order.StatusCompleted, &now
	return nil
}

// hear brings a parcel to what a provider said of it.
func hear(p *commerce.Shipment, n news, now time.Time) {
	tell := func(t shipment.Tracking, failure *string, next *time.Time) {
		p.Tracking, p.TrackingError, p.NextCheckAt = &t, failure, next
	}
	later := now.Add(silentAfter)
	p.LastHeardAt, p.Attempts = &now, 0
	if *p.Tracking == shipment.TrackingPending || *p.Tracking == shipment.TrackingFollowed {
		tell(shipment.TrackingFollowed, nil, &later)
	}
	if n.was != "" {
		p.Carrier, p.CarrierWas = &n.track.Carrier, &n.was
	}
	if steps := n.track.Events; len(steps) > 0 {
		newest := steps[len(steps)-1].At
		if status, ok := statusOf[n.track.State]; ok && overtakes(p, newest, n.rewritten) {
			p.Status = status
			if p.DeliveredAt = nil; status == shipment.StatusDelivered {
				p.DeliveredAt = &newest
			}
		}
		if p.LastEventAt == nil || newest.After(*p.LastEventAt) || n.rewritten {
			p.LastEventAt = &newest
		}
	}
	switch {
	case n.refused != nil:
		code := apperr.From(n.refused).Def.Code
		tell(shipment.TrackingRefused, &code, nil)
	case settled(p.Status) || n.ends:
		tell(shipment.TrackingEnded, nil, nil)
	case n.aborted:
		failure := carrierAborted
		if p.Aborts++; p.Aborts < abortsMost {
			tell(shipment.TrackingPending, &failure, &now)
			return
		}
		tell(shipment.TrackingEnded, &failure, nil)
		p.Status = shipment.StatusException // nobody knows where it is
	}
}

// overtakes reports whether what was said up to a step is news: not older than
// what is known, and newer where the parcel's way had ended.
func overtakes(p *commerce.Shipment, newest time.Time, rewritten bool) bool {
	switch {
	case rewritten || p.LastEventAt == nil:
		return true
	case settled(p.Status):
		return newest.After(*p.LastEventAt)
	}
	return !newest.Before(*p.LastEventAt)
}

// settled reports whether a parcel's way has ended.
func settled(s shipment.Status) bool {
	return s == shipment.StatusDelivered || s == shipment.StatusReturned
}

// statusOf is a parcel's state as orders have it; others say nothing.
var statusOf = map[logistics.State]shipment.Status{
	logistics.PickedUp: shipment.StatusInTransit, logistics.InTransit: shipment.StatusInTransit, logistics.Customs: shipment.StatusInTransit,
	logistics.Delivering: shipment.StatusOutForDelivery, logistics.Delivered: shipment.StatusDelivered, logistics.Returned: shipment.StatusReturned,
	logistics.Problem: shipment.StatusException, logistics.Refused: shipment.StatusException, logistics.Returning: shipment.StatusException,
}

// saveTracking writes what tracking changes of a parcel.
func saveTracking(ctx context.Context, tx *db.Tx, p *commerce.Shipment, now time.Time) error {
	u := tx.Commerce.Shipment.UpdateOneID(p.ID).SetStatus(p.Status).SetNillableCarrier(p.Carrier).SetNillableCarrierWas(p.CarrierWas).SetNillableTracking(p.Tracking).
		SetNillableTrackingError(p.TrackingError).SetAborts(p.Aborts).SetAttempts(p.Attempts).SetNillableNextCheckAt(p.NextCheckAt).SetNillableLastEventAt(p.LastEventAt).
		SetNillableLastHeardAt(p.LastHeardAt).SetNillableDeliveredAt(p.DeliveredAt).SetVersion(p.Version).SetUpdatedAt(now)
	if p.TrackingError == nil {
		u.ClearTrackingError()
	}
	if p.NextCheckAt == nil {
		u.ClearNextCheckAt()
	}
	if p.DeliveredAt == nil {
		u.ClearDeliveredAt()
	}
	return u.Exec(ctx)
}

// stepTexts is what is private of a step.
type stepTexts struct {
	Text  string `json:"text"`
	Place string `json:"place,omitempty"`
}

const trackingTable = "tracking_events"

// keepSteps adds the steps that are not known yet. Where the carrier has written
// the history anew, those that are not part of it any more are taken back.
func (s *Service) keepSteps(ctx context.Context, tx *db.Tx, c *changing, p *commerce.Shipment, n news) error {
	if len(n.track.Events) == 0 {
		return nil
	}
	known, err := tx.Commerce.TrackingEvent.Query().Where(trackingevent.ShipmentID(p.ID)).All(ctx)
	if err != nil {
		return err
	}
	have := make(map[string]bool, len(known))
	for _, e := range known {
		have[e.EventKey] = true
	}
	now := s.clock.Now()
	keys := make([]string, len(n.track.Events))
	var fresh []*commerce.TrackingEventCreate
	for i, e := range n.track.Events {
		keys[i] = hex.EncodeToString(s.keys.Index("tracking_events.key", p.ID.String()+e.Key()))
		if have[keys[i]] {
			continue
		}
		have[keys[i]] = true
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		sealed, err := s.seal(trackingTable, id, c.customer, stepTexts{e.Text, e.Place})
		if err != nil {
			return err
		}
		one := tx.Commerce.TrackingEvent.Create().SetID(id).SetOrderID(p.OrderID).SetShipmentID(p.ID).SetNillableCustomerID(c.o.CustomerID).SetEventKey(keys[i]).SetOccurredAt(e.At).
			SetPrivateSealed(sealed).SetCreatedAt(now)
		if status, ok := statusOf[e.State]; ok {
			one.SetStatus(trackingevent.Status(status))
		}
		fresh = append(fresh, one)
	}
	if len(fresh) > 0 {
		if err := tx.Commerce.TrackingEvent.CreateBulk(fresh...).Exec(ctx); err != nil {
			return err
		}
	}
	if !n.rewritten {
		return nil
	}
	ofParcel := trackingevent.ShipmentID(p.ID)
	if err := tx.Commerce.TrackingEvent.Update().Where(ofParcel, trackingevent.SupersededAtIsNil(), trackingevent.EventKeyNotIn(keys...)).SetSupersededAt(now).Exec(ctx); err != nil {
		return err
	}
	return tx.Commerce.TrackingEvent.Update().Where(ofParcel, trackingevent.SupersededAtNotNil(), trackingevent.EventKeyIn(keys...)).ClearSupersededAt().Exec(ctx)
}

// TrackingStep is one step of a parcel's way.
type TrackingStep struct {
	*commerce.TrackingEvent
	Text, Place string
}

// Shipments lists the parcels of an order as they were sent.
// Plan: shipments_order_idx.
//
// Errors: ErrOrderNotFound, apperr.ErrBadCursor.
func (s *Service) Shipments(ctx context.Context, id uuid.UUID, limit *int32, cursor, include *string) (*page.Of[*commerce.Shipment], error) {
	if _, err := s.head(ctx, id); err != nil {
		return nil, err
	}
	l := page.NewList("/v1/orders/"+id.String()+"/shipments", limit)
	q := s.db.From(ctx).Commerce.Shipment.Query().Where(shipment.OrderID(id))
	out := &page.Of[*commerce.Shipment]{}
	var err error
	if out.Total, err = page.Total(ctx, include, q.Clone().Count); err != nil {
		return nil, err
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(shipment.IDGT(at.ID))
	}
	rows, err := q.Order(shipment.ByID()).WithLines().Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		out.Next, out.Link = l.After(s.pages, position{ID: out.Items[len(out.Items)-1].ID})
	}
	return out, nil
}

// head reads an order that the caller sees, without its parts.
// Error: ErrOrderNotFound.
func (s *Service) head(ctx context.Context, id uuid.UUID) (*commerce.Order, error) {
	o, err := s.db.From(ctx).Commerce.Order.Query().Where(order.ID(id)).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrOrderNotFound.New()
	}
	return o, err
}

// TrackingSteps lists the steps of an order's parcels, or of one of them, the
// newest first, as the list of a path.
// Plan: tracking_events_order_idx backwards.
//
// Errors: ErrOrderNotFound, apperr.ErrBadCursor.
func (s *Service) TrackingSteps(ctx context.Context, path string, id uuid.UUID, parcel *uuid.UUID, limit *int32, cursor, include *string) (*page.Of[TrackingStep], error) {
	o, err := s.head(ctx, id)
	if err != nil {
		return nil, err
	}
	l := page.NewList(path, limit)
	where := []predicate.TrackingEvent{trackingevent.OrderID(id), trackingevent.SupersededAtIsNil()}
	column(l, "shipment_id", parcel, uuid.UUID.String, &where, trackingevent.ShipmentID)
	q := s.db.From(ctx).Commerce.TrackingEvent.Query().Where(where...)
	out := &page.Of[TrackingStep]{}
	if out.Total, err = page.Total(ctx, include, q.Clone().Count); err != nil {
		return nil, err
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(before(trackingevent.FieldOccurredAt, at))
	}
	rows, err := q.Order(trackingevent.ByOccurredAt(sql.OrderDesc()), trackingevent.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.Limit)
	if more {
		last := rows[len(rows)-1]
		out.Next, out.Link = l.After(s.pages, position{last.OccurredAt, last.ID})
	}
	if len(rows) == 0 {
		return out, nil
	}
	b, err := s.buyerOf(ctx, o.CustomerID)
	if err != nil {
		return nil, err
	}
	for _, e := range rows {
		var texts stepTexts
		if err := s.unseal(trackingTable, e.ID, b, e.PrivateSealed, &texts); err != nil {
			return nil, err
		}
		out.Items = append(out.Items, TrackingStep{e, texts.Text, texts.Place})
	}
	return out, nil
}
