package member

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/consent"
	"github.com/shuke-crm/shuke/ent/crm/consenttext"
	"github.com/shuke-crm/shuke/ent/crm/schema"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Purpose is what a consent is for.
type Purpose = consent.Purpose

// firstTexts are published when an installation has none for a purpose. They
// say what this service does with the data; a business publishes its own.
var firstTexts = map[Purpose]map[string]schema.Wording{
	consent.PurposeTerms: {
		"zh-CN": {Title: "会员服务条款与隐私政策", Body: "为提供会员服务，我们处理您的手机号、微信标识、您填写的资料和购买记录，仅用于账号管理、订单与会员权益。您可随时查看、更正资料，撤回同意或注销账号。"},
		"en":    {Title: "Membership terms and privacy notice", Body: "To run your membership we process your phone number, your WeChat identifier, what you fill in and what you buy, for your account, orders and benefits only. You can see and correct your data, withdraw your consent or close the account at any time."},
	},
	consent.PurposeGuardian: {
		"zh-CN": {Title: "监护人同意书", Body: "我是该未满 14 周岁会员的监护人，已阅读会员服务条款与隐私政策，同意其注册并同意按其中所述处理其个人信息。"},
		"en":    {Title: "Consent of a guardian", Body: "I am the guardian of this member, who is under 14. I have read the membership terms and privacy notice and agree to the membership and to the processing described there."},
	},
	consent.PurposeMarketing: {
		"zh-CN": {Title: "营销信息", Body: "同意通过短信、微信或邮件接收优惠和活动信息，可随时撤回，不影响会员服务。"},
		"en":    {Title: "Marketing messages", Body: "I agree to receive offers by text message, WeChat or e-mail. I can withdraw this at any time without losing any service."},
	},
	consent.PurposeProfiling: {
		"zh-CN": {Title: "个性化推荐", Body: "同意根据购买记录和偏好为我提供个性化推荐，可随时撤回，撤回后仍可使用全部会员服务。"},
		"en":    {Title: "Personal recommendations", Body: "I agree that recommendations are made from what I buy and like. I can withdraw this at any time without losing any service."},
	},
}

// EnsureTexts publishes the first texts where an installation has none.
func (s *Service) EnsureTexts(ctx context.Context) error {
	ctx = auth.System(ctx, "consent-texts") // the command that starts the service acts for nobody
	for purpose, wordings := range firstTexts {
		if _, err := currentText(ctx, s.DB.From(ctx), purpose); err == nil {
			continue
		} else if !crm.IsNotFound(err) {
			return fmt.Errorf("read the text for %s: %w", purpose, err)
		}
		err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := s.publish(ctx, tx, purpose, 1, wordings)
			return err
		})
		if err != nil && db.Violated(err) == "" { // else another replica was faster
			return fmt.Errorf("publish the text for %s: %w", purpose, err)
		}
	}
	return nil
}

// Publish makes the next version of a text. Whoever agreed to an earlier one
// stays a member; signing up asks for the new one.
func (s *Service) Publish(ctx context.Context, purpose Purpose, wordings map[string]schema.Wording) (*crm.ConsentText, error) {
	var made *crm.ConsentText
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		version := 1
		if last, err := currentText(ctx, tx.Clients, purpose); err == nil {
			version = last.Version + 1
		} else if !crm.IsNotFound(err) {
			return err
		}
		var err error
		made, err = s.publish(ctx, tx, purpose, version, wordings)
		return err
	})
	return made, err
}

func (s *Service) publish(ctx context.Context, tx *db.Tx, purpose Purpose, version int, wordings map[string]schema.Wording) (*crm.ConsentText, error) {
	raw, err := json.Marshal(wordings) // keys come sorted
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(raw)
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	return tx.CRM.ConsentText.Create().SetID(id).SetPurpose(consenttext.Purpose(purpose)).SetVersion(version).SetWordings(wordings).
		SetHash(hash[:]).SetPublishedAt(s.Clock.Now()).Save(ctx)
}

// currentText is the latest version for a purpose.
func currentText(ctx context.Context, d *db.Clients, purpose Purpose) (*crm.ConsentText, error) {
	return d.CRM.ConsentText.Query().Where(consenttext.PurposeEQ(consenttext.Purpose(purpose))).Order(consenttext.ByVersion(sql.OrderDesc())).First(ctx)
}

// Texts lists the current text of each purpose.
func (s *Service) Texts(ctx context.Context) ([]*crm.ConsentText, error) {
	var out []*crm.ConsentText
	ctx = auth.System(ctx, "consent-texts") // public
	for _, p := range []Purpose{consent.PurposeTerms, consent.PurposeGuardian, consent.PurposeMarketing, consent.PurposeProfiling} {
		row, err := currentText(ctx, s.DB.From(ctx), p)
		if crm.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// giving is a consent about to be recorded.
type giving struct {
	purpose Purpose
	version int
	channel string
	from    device
	pointer string // of the version in the request
}

// grant records a consent to the current version of a text. One to the same
// version that still counts stays as it is; one to an older version ends.
// Error: member.text_version.
func (s *Service) grant(ctx context.Context, tx *db.Tx, c *crm.Customer, g giving) (*crm.Consent, error) {
	text, err := currentText(ctx, tx.Clients, g.purpose)
	if err != nil {
		return nil, fmt.Errorf("the text for %s: %w", g.purpose, err)
	}
	if g.version != text.Version {
		return nil, ErrTextVersion.At(g.pointer).Arg("text_version", text.Version).With("text_version", text.Version)
	}
	now := s.Clock.Now()
	live, err := liveConsent(ctx, tx, c.ID, g.purpose)
	if err != nil {
		return nil, err
	}
	if live != nil {
		if live.TextVersion == g.version {
			return live, nil
		}
		if err := tx.CRM.Consent.UpdateOne(live).SetWithdrawnAt(now).Exec(ctx); err != nil {
			return nil, err
		}
	}
	made, err := s.record(ctx, tx, c, g, text.Hash, now)
	if err != nil {
		return nil, err
	}
	happened(ctx, tx, EventConsentGranted, "member.consent", c.ID, c.HomeStoreID, map[string]any{"purpose": g.purpose, "text_version": g.version, "channel": g.channel})
	return made, nil
}

func (s *Service) record(ctx context.Context, tx *db.Tx, c *crm.Customer, g giving, hash []byte, at time.Time) (*crm.Consent, error) {
	key, err := s.keyOf(c)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	return tx.CRM.Consent.Create().SetID(id).SetCustomerID(c.ID).SetNillableStoreID(c.HomeStoreID).SetNillableAssignedStaffID(c.AssignedStaffID).
		SetPurpose(g.purpose).SetTextVersion(g.version).SetTextHash(hash).SetChannel(g.channel).
		SetEvidenceSealed(sealDevice(key, tableConsents, "evidence", id, g.from)).SetGrantedAt(at).Save(ctx)
}

func liveConsent(ctx context.Context, tx *db.Tx, customerID uuid.UUID, p Purpose) (*crm.Consent, error) {
	row, err := tx.CRM.Consent.Query().Where(consent.CustomerID(customerID), consent.PurposeEQ(p), consent.WithdrawnAtIsNil()).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, nil
	}
	return row, err
}

// handOver copies what somebody agreed to as one customer to the one they turn
// out to be. The old rows stay as evidence.
func (s *Service) handOver(ctx context.Context, tx *db.Tx, from, to *crm.Customer) error {
	rows, err := tx.CRM.Consent.Query().Where(consent.CustomerID(from.ID), consent.WithdrawnAtIsNil()).All(ctx)
	if err != nil || len(rows) == 0 {
		return err
	}
	key, err := s.keyOf(from)
	if err != nil {
		return err
	}
	for _, row := range rows {
		live, err := liveConsent(ctx, tx, to.ID, row.Purpose)
		if err != nil {
			return err
		}
		if live != nil {
			continue
		}
		from, err := openDevice(key, tableConsents, "evidence", row.ID, row.EvidenceSealed)
		if err != nil {
			return err
		}
		g := giving{purpose: row.Purpose, version: row.TextVersion, channel: row.Channel, from: from}
		if _, err := s.record(ctx, tx, to, g, row.TextHash, row.GrantedAt); err != nil {
			return err
		}
	}
	return nil
}

// Agree records in a transaction that a customer of the caller's scope agreed to
// the current version of a text, by whatever channel; pointer is the place of
// the version in the request. Error: member.text_version.
func (s *Service) Agree(ctx context.Context, tx *db.Tx, customerID uuid.UUID, purpose Purpose, version int, channel, pointer string) error {
	rows, err := lockCustomers(ctx, tx, customerID)
	if err != nil {
		return err
	}
	_, err = s.grant(ctx, tx, rows[customerID], giving{purpose, version, channel, deviceOf(ctx), pointer})
	return err
}

// Grant records a consent of the signed-in member.
// Error: member.text_version.
func (s *Service) Grant(ctx context.Context, purpose Purpose, version int) (*crm.Consent, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	var made *crm.Consent
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows, err := lockCustomers(ctx, tx, actor.ID)
		if err != nil {
			return err
		}
		channel, err := s.channelOf(ctx, tx, actor.SessionID)
		if err != nil {
			return err
		}
		made, err = s.grant(ctx, tx, rows[actor.ID], giving{purpose, version, channel, deviceOf(ctx), "/text_version"})
		return err
	})
	return made, err
}

// Withdraw ends a consent of the signed-in member, at once. Without the terms
// there is no membership, so withdrawing those signs out everywhere; signing in
// again asks for them.
// Error: member.not_found.
func (s *Service) Withdraw(ctx context.Context, id uuid.UUID) (*crm.Consent, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	var out *crm.Consent
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows, err := lockCustomers(ctx, tx, actor.ID)
		if err != nil {
			return err
		}
		out, err = tx.CRM.Consent.Query().Where(consent.ID(id)).Only(ctx)
		if crm.IsNotFound(err) {
			return ErrNotFound.New()
		}
		if err != nil || out.WithdrawnAt != nil {
			return err
		}
		now := s.Clock.Now()
		if out, err = tx.CRM.Consent.UpdateOne(out).SetWithdrawnAt(now).Save(ctx); err != nil {
			return err
		}
		c := rows[actor.ID]
		happened(ctx, tx, EventConsentWithdrawn, "member.withdraw_consent", c.ID, c.HomeStoreID, map[string]any{"purpose": out.Purpose, "text_version": out.TextVersion})
		if out.Purpose != consent.PurposeTerms {
			return nil
		}
		return s.end(ctx, tx, c.ID, c.HomeStoreID, ending{}, "terms_withdrawn")
	})
	return out, err
}

// Consents lists what the signed-in member agreed to, newest first, one more
// than limit if there are more; before is the last id shown.
func (s *Service) Consents(ctx context.Context, before uuid.UUID, limit int) ([]*crm.Consent, error) {
	q, err := s.ownConsents(ctx)
	if err != nil {
		return nil, err
	}
	if before != uuid.Nil {
		q.Where(consent.IDLT(before))
	}
	return q.Order(consent.ByID(sql.OrderDesc())).Limit(limit + 1).All(ctx)
}

func (s *Service) countConsents(ctx context.Context) (int, error) {
	q, err := s.ownConsents(ctx)
	if err != nil {
		return 0, err
	}
	return q.Count(ctx)
}

func (s *Service) ownConsents(ctx context.Context) (*crm.ConsentQuery, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, err
	}
	return s.DB.From(ctx).CRM.Consent.Query().Where(consent.CustomerID(actor.ID)), nil
}
