package identity

import (
	"context"

	"github.com/shuke-crm/shuke/internal/platform/password"
)

// ClientOf is where the request in the context comes from.
func ClientOf(ctx context.Context) Client { return clientOf(ctx) }

// CheckPassword holds a new password against the policy.
// Errors: auth.password_too_short and the others of the policy, at the pointer.
func CheckPassword(secret, pointer string) error {
	if err := password.Check(secret, ""); err != nil {
		return policyError(err, pointer)
	}
	return nil
}
