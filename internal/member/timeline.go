package member

import (
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/scope"
	"github.com/shuke-crm/shuke/internal/timeline"
)

// TimelineSources are ways to sign in and consents in the timelines of customers.
func TimelineSources() []timeline.Source {
	seen := scope.Columns{Store: "store_id", Staff: "assigned_staff_id"}
	return []timeline.Source{
		{
			Kinds: []string{"identity_linked"}, Permission: auth.CustomersRead, From: "customer_identities AS r", Scope: seen, At: "r.created_at",
			ActorKind: "'member'", ActorID: "r.customer_id", Details: "jsonb_build_object('provider', r.provider, 'app', r.app)",
		},
		{
			Kinds: []string{"consent_given"}, Permission: auth.CustomersRead, From: "consents AS r", Scope: seen, At: "r.granted_at",
			ActorKind: "'member'", ActorID: "r.customer_id", Details: "jsonb_build_object('purpose', r.purpose, 'text_version', r.text_version, 'channel', r.channel)",
		},
		{
			// Those that a merge ended too: the row does not say who did.
			Kinds: []string{"consent_withdrawn"}, Permission: auth.CustomersRead, From: "consents AS r", Scope: seen, At: "r.withdrawn_at",
			Where: "r.withdrawn_at IS NOT NULL", Details: "jsonb_build_object('purpose', r.purpose, 'text_version', r.text_version)",
		},
	}
}
