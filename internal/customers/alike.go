package customers

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// What speaks for two records being one person, or one household.
const (
	AlikeAddress   = "same_address"
	AlikeDuplicate = "likely_duplicate"
)

// Alike says what two customers have in common that different people seldom have:
// the default address, or a place in the queue of likely duplicates that nobody has
// rejected. It reads in clear and tells no values.
func (s *Service) Alike(ctx context.Context, tx *db.Tx, a, b uuid.UUID) ([]string, error) {
	rows, err := tx.CRM.Customer.Query().Where(customer.IDIn(a, b)).All(ctx)
	if err != nil || len(rows) != 2 {
		return nil, err
	}
	var places [2]string
	for i, r := range rows {
		c, err := open(s.keys, r)
		if err != nil {
			return nil, err
		}
		if at := c.Address; at != nil && at.Line1 != "" {
			places[i] = strings.ToLower(strings.Join(strings.Fields(at.City+" "+at.Line1+" "+at.Line2), ""))
		}
	}
	var out []string
	if places[0] != "" && places[0] == places[1] {
		out = append(out, AlikeAddress)
	}
	if compareIDs(a, b) > 0 {
		a, b = b, a
	}
	var likely bool
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM duplicate_candidates WHERE left_id = $1 AND right_id = $2 AND status <> 'not_duplicate')", a, b).Scan(&likely)
	if likely {
		out = append(out, AlikeDuplicate)
	}
	return out, err
}
