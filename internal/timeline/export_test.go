package timeline

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// PageSQL is the statement of the page after a moment.
func (s *Service) PageSQL(ctx context.Context, id uuid.UUID, at time.Time, limit int) (string, []any, error) {
	q, err := s.query(ctx, []uuid.UUID{id}, TimelineFilter{}, place{At: at}, limit)
	if err != nil {
		return "", nil, err
	}
	return q.text(), q.args, nil
}

// IDBound is the cursor for sources whose rows happened when their ids say.
func IDBound(at time.Time, id uuid.UUID) uuid.UUID { return idBound(place{At: at, ID: id}) }
