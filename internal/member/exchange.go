package member

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/oidc"
	"github.com/shuke-crm/shuke/internal/platform/otp"
	"github.com/shuke-crm/shuke/internal/platform/wechat"
)

const (
	exchangeLife    = 5 * time.Minute  // how long an outcome is remembered
	exchangeLimit   = 12 * time.Second // after that a claim's holder counts as dead
	exchangePause   = 25 * time.Millisecond
	exchangePurpose = "member.exchange"
)

// proof is who an outside service, or a code of ours, says that somebody is.
type proof struct {
	Provider Provider `json:"provider"`
	App      string   `json:"app,omitempty"`
	Subject  string   `json:"subject"`
	UnionID  string   `json:"union_id,omitempty"`
	Phone    string   `json:"phone,omitempty"` // verified, E.164
	Email    string   `json:"email,omitempty"` // verified
	Name     string   `json:"name,omitempty"`

	key      []byte // of the exchange it came from
	password string // hash, of a password being set
}

// outcome is what is remembered of an exchange.
type outcome struct {
	Proof   proof  `json:"proof"`
	Refused string `json:"refused,omitempty"` // code of the error that the code earned for good
}

// final are refusals that the same code would earn again.
var final = []*apperr.Definition{wechat.ErrCode, wechat.ErrRisk, wechat.ErrSnapshot, oidc.ErrCode, oidc.ErrToken, otp.ErrSpent}

// exchange spends a one-time code, once. The first request with it calls the
// provider; others with the same code wait for the outcome or find it, for five
// minutes and from the same device: a client whose answer was lost sends the
// same request again and is signed in, while the provider sees the code one
// time. Where the outcome is not known, or the code was certainly not spent,
// nothing is remembered and the next request asks again.
//
// PostgreSQL keeps claims and outcomes, so this holds across replicas and
// without Redis. No transaction is open during the call.
// Errors: member.other_device, member.exchange_in_progress, those of call.
func (s *Service) exchange(ctx context.Context, kind, code, deviceID string, call func(context.Context) (proof, error)) (proof, error) {
	key, deviceHash := s.exchangeKey(kind, code), s.Keys.Index(indexDevice, deviceID)
	for deadline := time.Now().Add(exchangeLimit); time.Now().Before(deadline); {
		now := s.Clock.Now()
		c, err := s.claim(ctx, key, deviceHash, now)
		switch {
		case err != nil:
			return proof{}, err
		case c.mine:
			return s.spend(ctx, key, now, call)
		case c.device != nil && !hmac.Equal(c.device, deviceHash):
			return proof{}, ErrOtherDevice.New()
		case c.outcome != nil:
			return s.recall(key, c.outcome)
		}
		select {
		case <-ctx.Done():
			return proof{}, ctx.Err()
		case <-time.After(exchangePause):
		}
	}
	return proof{}, ErrInProgress.New()
}

func (s *Service) exchangeKey(kind, code string) []byte {
	key := s.Keys.Derive("member.exchange")
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte(kind))
	m.Write([]byte{0})
	m.Write([]byte(code))
	return m.Sum(nil)
}

// spend makes the call and keeps its outcome, also when the client has left
// meanwhile: it will come back for it.
func (s *Service) spend(ctx context.Context, key []byte, claimedAt time.Time, call func(context.Context) (proof, error)) (proof, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeLimit)
	defer cancel()
	p, err := call(ctx)
	keep := outcome{Proof: p}
	if err != nil {
		e := apperr.From(err)
		for _, d := range final {
			if e != nil && e.Def == d {
				keep.Refused = d.Code
			}
		}
		if keep.Refused == "" {
			if lost := s.giveUp(ctx, key, claimedAt); lost != nil {
				s.Log.WarnContext(ctx, "the claim of a code was not given up", "error", lost)
			}
			return proof{}, err
		}
	}
	raw, lost := json.Marshal(keep)
	if lost == nil {
		lost = s.remember(ctx, key, s.Keys.SealBlob(exchangePurpose, key, raw), claimedAt, s.Clock.Now().Add(exchangeLife))
	}
	if lost != nil {
		// The person is who they are all the same; only a repeated request will be refused.
		s.Log.WarnContext(ctx, "the outcome of a code was not remembered", "error", lost)
	}
	p.key = key
	return p, err
}

func (s *Service) recall(key, sealed []byte) (proof, error) {
	raw, err := s.Keys.OpenBlob(exchangePurpose, key, sealed)
	if err != nil {
		return proof{}, fmt.Errorf("open an outcome: %w", err)
	}
	var kept outcome
	if err := json.Unmarshal(raw, &kept); err != nil {
		return proof{}, fmt.Errorf("read an outcome: %w", err)
	}
	if kept.Refused != "" {
		if d := apperr.Lookup(kept.Refused); d != nil {
			return proof{}, d.New()
		}
		return proof{}, errors.New("member: an outcome of an unknown kind")
	}
	kept.Proof.key = key
	return kept.Proof, nil
}
