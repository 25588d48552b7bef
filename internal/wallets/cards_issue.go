package wallets

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/giftcard"
	"github.com/shuke-crm/shuke/ent/loyalty/giftcardbatch"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

const jobIssue = "wallets.issue_gift_cards"

type issueJob struct {
	BatchID uuid.UUID `json:"batch_id"`
}

// Issued is what the visible job reports.
type Issued struct {
	Cards int `json:"cards"`
}

// secretPurpose seals codes until they are exported.
const secretPurpose = "gift_cards.secret"

// IssueCards starts a batch of gift cards, which a job makes.
//
// Error: ErrCardLimit.
func (s *Service) IssueCards(ctx context.Context, name string, quantity int, face int64, withPIN bool) (*loyalty.GiftCardBatch, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var out *loyalty.GiftCardBatch
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p, err := s.programme(ctx)
		if err != nil {
			return err
		}
		if p.CardLimit != nil && face > *p.CardLimit {
			return ErrCardLimit.At("/face_amount").Arg("limit", *p.CardLimit)
		}
		job, err := s.queue.StartVisible(ctx, tx, jobIssue, issueJob{id})
		if err != nil {
			return err
		}
		now := s.clock.Now()
		out, err = tx.Loyalty.GiftCardBatch.Create().SetID(id).SetName(strings.TrimSpace(name)).SetQuantity(quantity).SetFaceAmount(face).SetWithPin(withPIN).SetJobID(job.ID).
			SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		audit.Record(ctx, tx, audit.Entry{Action: "gift_cards.issue", ObjectType: "gift_card_batch", ObjectID: id.String(), Changes: map[string]any{"quantity": quantity, "face_amount": face}})
		return err
	})
	return out, err
}

// issueBatch is how many cards are made in one transaction.
const issueBatch = 500

// issue makes the cards of a batch; after a crash it goes on where it was.
func (s *Service) issue(ctx context.Context, in issueJob, p *jobs.Progress) (any, error) {
	ctx = auth.System(ctx, jobIssue)
	for {
		var b *loyalty.GiftCardBatch
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			if b, err = tx.Loyalty.GiftCardBatch.Query().Where(giftcardbatch.ID(in.BatchID)).ForUpdate().Only(ctx); err != nil || b.Status != giftcardbatch.StatusIssuing {
				return err
			}
			n := min(issueBatch, b.Quantity-b.Issued)
			cards := make([]*loyalty.GiftCardCreate, n)
			for i := range cards {
				if cards[i], err = s.newCard(tx, b, b.Issued+i+1); err != nil {
					return err
				}
			}
			if err := tx.Loyalty.GiftCard.CreateBulk(cards...).Exec(ctx); err != nil {
				return err
			}
			u := b.Update().AddIssued(n).AddVersion(1).SetUpdatedAt(s.clock.Now())
			if b.Issued+n == b.Quantity {
				u.SetStatus(giftcardbatch.StatusReady)
			}
			b, err = u.Save(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		p.Set(int64(b.Issued), int64(b.Quantity))
		if b.Status != giftcardbatch.StatusIssuing {
			return Issued{b.Issued}, nil
		}
		if p.Cancelled() {
			return Issued{b.Issued}, jobs.ErrCancelled
		}
	}
}

// newCard draws a card. Nobody keeps its code: a keyed hash finds it, and the
// sealed one goes with the export.
func (s *Service) newCard(tx *db.Tx, b *loyalty.GiftCardBatch, number int) (*loyalty.GiftCardCreate, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	code, pin, now := newCode(), "", s.clock.Now()
	create := tx.Loyalty.GiftCard.Create().SetID(id).SetBatchID(b.ID).SetNumber(number).SetCodeHash(s.codeHash(code)).SetLast4(code[codeLength-4:]).SetCreatedAt(now).SetUpdatedAt(now)
	if b.WithPin {
		pin = newPIN()
		create.SetPinHash(s.pinHash(id, pin))
	}
	return create.SetSecretSealed(s.keys.SealBlob(secretPurpose, id[:], []byte(code+pin))), nil
}

func (s *Service) codeHash(code string) []byte { return s.keys.Index("gift_cards.code", code) }

// pinHash binds a PIN to its card. It is keyed: six digits are soon tried against
// any hash that whoever has the database can compute.
func (s *Service) pinHash(card uuid.UUID, pin string) []byte {
	return s.keys.Index("gift_cards.pin", card.String()+" "+pin)
}

// Secret is what is printed on a card; PIN is empty where it has none.
type Secret struct {
	Number    int
	CardID    uuid.UUID
	Code, PIN string
}

// ExportCards hands out the codes of a batch, once: from then on only the cards
// have them.
//
// Errors: ErrBatchNotFound, ErrBatchState.
func (s *Service) ExportCards(ctx context.Context, id uuid.UUID) ([]Secret, error) {
	var out []Secret
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		b, err := lockBatch(ctx, tx, id)
		if err != nil {
			return err
		}
		if b.Status != giftcardbatch.StatusReady {
			return ErrBatchState.New().Arg("status", string(b.Status))
		}
		cards, err := tx.Loyalty.GiftCard.Query().Where(giftcard.BatchID(id), giftcard.SecretSealedNotNil()).Order(giftcard.ByNumber()).
			Select(giftcard.FieldID, giftcard.FieldNumber, giftcard.FieldSecretSealed).All(ctx)
		if err != nil {
			return err
		}
		out = make([]Secret, len(cards))
		for i, c := range cards {
			plain, err := s.keys.OpenBlob(secretPurpose, c.ID[:], *c.SecretSealed)
			if err != nil || len(plain) < codeLength {
				return fmt.Errorf("gift card %s: its code cannot be opened: %w", c.ID, err)
			}
			out[i] = Secret{c.Number, c.ID, printed(string(plain[:codeLength])), string(plain[codeLength:])}
		}
		if err := tx.Loyalty.GiftCard.Update().Where(giftcard.BatchID(id)).ClearSecretSealed().Exec(ctx); err != nil {
			return err
		}
		now := s.clock.Now()
		if err := b.Update().SetStatus(giftcardbatch.StatusExported).SetExportedAt(now).AddVersion(1).SetUpdatedAt(now).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "gift_cards.export", ObjectType: "gift_card_batch", ObjectID: id.String(), Changes: map[string]any{"cards": len(out)}})
		return nil
	})
	return out, err
}

// CancelBatch takes the cards of a batch that are not sold out of use.
//
// Errors: ErrBatchNotFound, ErrBatchState, ErrReason.
func (s *Service) CancelBatch(ctx context.Context, id uuid.UUID, reason string) (out *loyalty.GiftCardBatch, err error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReason.At("/reason")
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		b, err := lockBatch(ctx, tx, id)
		if err != nil {
			return err
		}
		if b.Status == giftcardbatch.StatusCancelled {
			return ErrBatchState.New().Arg("status", string(b.Status))
		}
		now := s.clock.Now()
		n, err := tx.Loyalty.GiftCard.Update().Where(giftcard.BatchID(id), giftcard.StatusEQ(giftcard.StatusIssued)).SetStatus(giftcard.StatusCancelled).SetReason(reason).ClearSecretSealed().
			AddVersion(1).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		if err := tx.Loyalty.GiftCard.Update().Where(giftcard.BatchID(id), giftcard.SecretSealedNotNil()).ClearSecretSealed().Exec(ctx); err != nil {
			return err
		}
		if out, err = b.Update().SetStatus(giftcardbatch.StatusCancelled).AddVersion(1).SetUpdatedAt(now).Save(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "gift_cards.cancel_batch", ObjectType: "gift_card_batch", ObjectID: id.String(), Reason: reason, Changes: map[string]any{"cards": n}})
		return nil
	})
	return out, err
}

func lockBatch(ctx context.Context, tx *db.Tx, id uuid.UUID) (*loyalty.GiftCardBatch, error) {
	b, err := tx.Loyalty.GiftCardBatch.Query().Where(giftcardbatch.ID(id)).ForUpdate().Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrBatchNotFound.New()
	}
	return b, err
}
