package member

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/consent"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Follower has ways to sign in and consents follow merged customers.
//
// A password stays behind: whoever knew it for one account must not get into
// more by it. Sessions of the merged customer end, and stay ended when the
// merge is undone; then those end too that a way to sign in opened which goes
// back.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{
		Name: "member",
		Belongings: []customers.Belonging{
			{Table: tableIdentities, Kind: "identities", Sealed: []string{"subject"}, Store: true, Staff: true, Stays: "m.provider = 'password'"},
			{Table: tableConsents, Kind: "consents", Sealed: []string{"evidence"}, Store: true, Staff: true},
		},
		Before: s.merging,
		Undone: s.mergeUndone,
	}
}

// endedConsents are consents of either that a merge has ended.
type endedConsents struct {
	IDs []uuid.UUID `json:"ids,omitempty"`
}

func (s *Service) merging(ctx context.Context, tx *db.Tx, m *customers.Merging) (any, error) {
	if err := s.end(ctx, tx, m.Merged.ID, m.Merged.HomeStoreID, ending{}, "merged"); err != nil {
		return nil, err
	}
	rows, err := tx.CRM.Consent.Query().Where(consent.CustomerIDIn(m.Survivor.ID, m.Merged.ID)).Order(consent.ByID()).ForUpdate().All(ctx)
	if err != nil {
		return nil, err
	}
	out := endedConsents{IDs: superseded(rows, m.Survivor.ID)}
	if len(out.IDs) > 0 {
		_, err = tx.Exec(ctx, "UPDATE consents SET withdrawn_at = $2 WHERE id = ANY($1::uuid[])", pgarray.UUIDs(out.IDs), m.MergedAt)
	}
	return out, err
}

// superseded are the live consents of two customers who are one person that do
// not count any more: for each purpose one is left, the later one, and none if
// the person withdrew theirs later still. The terms are no such question: who
// agreed to them in either record is a member.
func superseded(rows []*crm.Consent, survivor uuid.UUID) []uuid.UUID {
	live := map[Purpose]*crm.Consent{}
	withdrawn := map[Purpose]time.Time{}
	var out []uuid.UUID
	for _, row := range rows {
		if row.WithdrawnAt != nil {
			if row.WithdrawnAt.After(withdrawn[row.Purpose]) {
				withdrawn[row.Purpose] = *row.WithdrawnAt
			}
			continue
		}
		was := live[row.Purpose]
		later := was == nil || row.GrantedAt.After(was.GrantedAt) || row.GrantedAt.Equal(was.GrantedAt) && row.CustomerID == survivor
		if later {
			live[row.Purpose] = row
		}
	}
	for _, row := range rows {
		if row.WithdrawnAt != nil {
			continue
		}
		refused := row.Purpose != consent.PurposeTerms && withdrawn[row.Purpose].After(row.GrantedAt)
		if live[row.Purpose] != row || refused {
			out = append(out, row.ID)
		}
	}
	return out
}

// mergeUndone revives what the merge ended, unless the person has withdrawn a
// consent of that purpose since or given it anew.
func (s *Service) mergeUndone(ctx context.Context, tx *db.Tx, m *customers.Merging, raw json.RawMessage) error {
	var kept endedConsents
	if err := json.Unmarshal(raw, &kept); err != nil {
		return err
	}
	if len(kept.IDs) > 0 {
		_, err := tx.Exec(ctx, `
UPDATE consents e SET withdrawn_at = NULL WHERE e.id = ANY($1::uuid[]) AND e.withdrawn_at = $2
AND NOT EXISTS (SELECT FROM consents x WHERE x.customer_id IN ($3, $4) AND x.purpose = e.purpose AND x.withdrawn_at > $2)
AND NOT EXISTS (SELECT FROM consents x WHERE x.customer_id = e.customer_id AND x.purpose = e.purpose AND x.withdrawn_at IS NULL)`,
			pgarray.UUIDs(kept.IDs), m.MergedAt, m.Survivor.ID, m.Merged.ID)
		if err != nil {
			return err
		}
	}
	for _, id := range m.Moved[tableIdentities] {
		if err := s.end(ctx, tx, m.Survivor.ID, m.Survivor.HomeStoreID, ending{identity: id}, "merge_undone"); err != nil {
			return err
		}
	}
	s.principals.Invalidate(ctx, tx, m.Survivor.ID, m.Merged.ID)
	return nil
}
