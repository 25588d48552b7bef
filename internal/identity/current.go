package identity

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/principals"
)

// Current is a principal ("staff:<id>", "api_key:<id>") as of now, for a job
// that goes on in their name after the request: with the rights they have when
// it runs, not with those they had when they asked.
// Errors: auth.forbidden for somebody who may do nothing any more.
func (s *Service) Current(ctx context.Context, principal string) (auth.Actor, error) {
	kind, text, _ := strings.Cut(principal, ":")
	id, err := uuid.Parse(text)
	if err != nil {
		return auth.Actor{}, apperr.ErrForbidden.New().Arg("permission", "")
	}
	var p *principals.Principal
	switch auth.Kind(kind) {
	case auth.KindStaff:
		p, err = s.loadStaff(ctx, id)
	case auth.KindAPIKey:
		var keyID string
		if keyID, err = s.keyIDOf(ctx, id); errors.Is(err, sql.ErrNoRows) {
			return auth.Actor{}, apperr.ErrForbidden.New().Arg("permission", "")
		}
		if err == nil {
			p, err = s.loadKey(ctx, keyID)
		}
	case auth.KindSystem:
		return auth.Must(auth.System(ctx, "job")), nil
	default:
		return auth.Actor{}, apperr.ErrForbidden.New().Arg("permission", "")
	}
	if err != nil {
		return auth.Actor{}, err
	}
	if !p.Alive || (!p.Ends.IsZero() && !s.Clock.Now().Before(p.Ends)) {
		return auth.Actor{}, apperr.ErrForbidden.New().Arg("permission", "")
	}
	return p.Actor, nil
}
