package member

import (
	"time"

	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Provider is a way of signing in.
type Provider = customeridentity.Provider

const (
	// phoneKept is how long a phone stays with a member who does not sign in by
	// it, when somebody else proves to have it: numbers are handed out again.
	phoneKept = 180 * 24 * time.Hour
	// guardianUntil is the age up to which a guardian has to agree.
	guardianUntil = 14
	// freshFor is how long a sign-in proves enough to set a password.
	freshFor = 5 * time.Minute
	// maxSessions bounds the live sessions of one member; the oldest end first.
	maxSessions = 20
)

// tooYoung reports whether somebody born on a day is below the age at which
// they agree for themselves. Born on 29 February, one is a year older on 1 March.
func tooYoung(birth, today time.Time) bool { return today.Before(birth.AddDate(guardianUntil, 0, 0)) }

// standing is what matters of a customer when somebody else's identity turns
// out to be theirs too.
type standing struct {
	identities int  // ways to sign in, the one in question among them; a password is not counted
	known      bool // phone, e-mail, card or external number on record
	bought     bool // orders or returns
}

// bare reports whether there is nothing to a customer but the one way to sign
// in: such a record was made a moment too early and may be given up.
func (s standing) bare() bool { return s.identities <= 1 && !s.known && !s.bought }

// fate is what becomes of a phone that a member has just proved to have.
type fate int

const (
	phoneFree    fate = iota // nobody else has it: it becomes the member's
	phoneJoins               // the member is nothing yet but a way to sign in: it goes to the one who has the phone
	phoneMoves               // its holder has not signed in by it for long: it becomes the member's
	phoneRefused             // both are somebody: 409
	phoneSuspect             // as refused, but its holder never proved to have it: staff are to look
)

// judgePhone decides about a phone that another customer has. Verified says
// that the holder once proved to have it; idle, for how long they have not
// signed in by it.
func judgePhone(me standing, verified bool, idle time.Duration) fate {
	switch {
	case me.bare():
		return phoneJoins
	case !verified:
		return phoneSuspect
	case idle > phoneKept:
		return phoneMoves
	default:
		return phoneRefused
	}
}

// mayUnlink reports whether a way to sign in may be taken away: one that works
// without the others must remain. A password goes with the phone.
func mayUnlink(all []Provider, gone Provider) bool {
	rest := 0
	for _, p := range all {
		if p != customeridentity.ProviderPassword {
			rest++
		}
	}
	return gone == customeridentity.ProviderPassword || rest > 1
}

// maskSubject shows enough of an outside name to tell one from another.
func maskSubject(p Provider, subject string) string {
	switch p {
	case customeridentity.ProviderPhone:
		return pii.MaskPhone(subject)
	case customeridentity.ProviderPassword:
		return ""
	}
	if len(subject) <= 8 {
		return "****"
	}
	return subject[:2] + "****" + subject[len(subject)-4:]
}
