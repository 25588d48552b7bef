package member

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

// Tables and columns that sealed fields are bound to. Each row's key is derived
// from its customer's, and dies with it.
const (
	tableIdentities = "customer_identities"
	tableSessions   = "member_sessions"
	tableConsents   = "consents"

	indexSubject = "customer_identities.subject"
	indexUnion   = "customer_identities.union"
	indexDevice  = "member.device"
	indexProgram = "member.program"
)

// keyOf opens the data key of a customer's row.
func (s *Service) keyOf(c *crm.Customer) (crypto.DataKey, error) {
	key, err := s.Keys.UnwrapDataKey(c.ID, c.DataKey)
	if err != nil {
		return key, fmt.Errorf("customer %s: data key: %w", c.ID, err)
	}
	return key, nil
}

func sealSubject(key crypto.DataKey, id uuid.UUID, subject string) []byte {
	return key.Derive(tableIdentities, id).Seal(tableIdentities, "subject", id, []byte(subject))
}

func openSubject(key crypto.DataKey, row *crm.CustomerIdentity) (string, error) {
	plain, err := key.Derive(tableIdentities, row.ID).Open(tableIdentities, "subject", row.ID, row.SubjectSealed)
	return string(plain), err
}

// device is where a session or consent came from.
type device struct {
	Label   string `json:"label,omitempty"`
	Program string `json:"program,omitempty"`
	IP      string `json:"ip,omitempty"`
	ID      string `json:"id,omitempty"` // in the evidence of consents only
}

func sealDevice(key crypto.DataKey, table, column string, id uuid.UUID, d device) []byte {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err) // a struct of strings
	}
	return key.Derive(table, id).Seal(table, column, id, raw)
}

func openDevice(key crypto.DataKey, table, column string, id uuid.UUID, sealed []byte) (d device, err error) {
	raw, err := key.Derive(table, id).Open(table, column, id, sealed)
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	return d, err
}

func (s *Service) subjectIndex(p Provider, app, subject string) []byte {
	return s.Keys.Index(indexSubject, string(p)+"\x00"+app+"\x00"+subject)
}

// unionIndex is the blind index of a union id. WeChat makes them unique within
// one open-platform account, and an installation's apps share one.
func (s *Service) unionIndex(unionID string) []byte {
	if unionID == "" {
		return nil
	}
	return s.Keys.Index(indexUnion, "\x00"+unionID)
}
