package orders

import (
	"context"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce/shipment"
	"github.com/shuke-crm/shuke/ent/commerce/trackingpush"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/logistics"
	"github.com/shuke-crm/shuke/internal/platform/outside"
)

const pushPurpose = "tracking_pushes.raw"

// TakePush verifies a tracking provider's push and books what it says; it returns
// the provider's word for that. The push, sealed, is committed first and marked
// when its effect is: what a crash leaves half done, the repetition finishes.
//
// Errors: outside.ErrNoTracking, logistics.ErrMalformed, logistics.ErrSignature.
func (s *Service) TakePush(ctx context.Context, provider string, body []byte) ([]byte, error) {
	told, err := s.readPush(provider, body)
	if err != nil {
		return nil, err
	}
	answer := logistics.Kuaidi100Answer(true)
	if provider == logistics.SFName {
		answer = logistics.SFAnswer(true)
	}
	ctx = auth.System(ctx, "tracking.push")
	id, settled, err := s.keepPush(ctx, provider, body)
	if err != nil || settled {
		return answer, err
	}
	outcome := outcomeUnknown
	for _, n := range told {
		parcels, err := s.db.Commerce.Shipment.Query().Where(shipment.TrackingNumber(n.track.Number), shipment.TrackerEQ(shipment.Tracker(provider))).Order(shipment.ByID()).IDs(ctx)
		if err != nil {
			return nil, err
		}
		for _, parcel := range parcels {
			if err := s.told(ctx, parcel, n); err != nil {
				return nil, err
			}
			outcome = outcomeApplied
		}
	}
	if outcome == outcomeUnknown {
		s.log.WarnContext(ctx, "a tracking provider told of a parcel that is not ours", "provider", provider, "push_id", id)
	}
	return answer, s.db.Commerce.TrackingPush.UpdateOneID(id).SetOutcome(outcome).Exec(ctx)
}

// keepPush keeps a push, or finds what became of the same one before.
func (s *Service) keepPush(ctx context.Context, provider string, body []byte) (id uuid.UUID, settled bool, err error) {
	digest := hex.EncodeToString(s.keys.Index("tracking_pushes.digest", string(body)))
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if id, err = uuid.NewV7(); err != nil {
			return err
		}
		written, err := tx.Exec(ctx, `INSERT INTO tracking_pushes (id, provider, digest, raw_sealed, outcome, received_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (provider, digest) DO NOTHING`, id, provider, digest, s.keys.SealBlob(pushPurpose, id[:], body), outcomePending, s.clock.Now())
		if err != nil {
			return err
		}
		if n, err := written.RowsAffected(); err != nil || n > 0 {
			return err
		}
		was, err := tx.Commerce.TrackingPush.Query().Where(trackingpush.Provider(provider), trackingpush.Digest(digest)).Only(ctx)
		if err != nil {
			return err
		}
		id, settled = was.ID, was.Outcome != outcomePending
		return nil
	})
	return id, settled, err
}

// readPush verifies a push and reads what it says of parcels.
func (s *Service) readPush(provider string, body []byte) ([]news, error) {
	if provider == logistics.SFName {
		if s.outside.SF == nil {
			return nil, outside.ErrNoTracking.New()
		}
		tracks, err := logistics.ParseSFPush(body)
		told := make([]news, len(tracks))
		for i, t := range tracks {
			told[i].track = t
		}
		return told, err
	}
	if s.outside.Kuaidi100 == nil {
		return nil, outside.ErrNoTracking.New()
	}
	number, err := logistics.PushNumber(body)
	if err != nil {
		return nil, err
	}
	push, err := logistics.ParseKuaidi100Push(body, s.trackingSalt(number))
	if err != nil {
		return nil, err
	}
	return []news{{track: push.Track, was: push.CarrierWas, rewritten: push.CarrierWas != "" || push.Status == logistics.PushUpdateAll, aborted: push.Status == logistics.PushAbort}}, nil
}
