package customers

import (
	"maps"
	"strings"

	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// hiddenValue stands for the value of a personal custom field.
const hiddenValue = "***"

// Masked is the customer as everybody sees it without revealing: the one
// place where this domain masks. The card number is a membership number that
// tills print and customers read out; it stays whole.
func (c Customer) Masked() Customer {
	c.Person = c.Person.masked()
	if len(c.Custom) > 0 {
		all := make(map[string]any, len(c.CustomFields)+len(c.Custom))
		maps.Copy(all, c.CustomFields)
		for key := range c.Custom {
			all[key] = hiddenValue
		}
		c.CustomFields, c.Custom = all, nil
	}
	return c
}

func (p Person) masked() Person {
	if p.Name != "" {
		p.Name = pii.MaskName(p.Name)
	}
	if p.Phone != "" {
		p.Phone = maskPhone(p.Phone, p.PhoneKind)
	}
	if p.Email != "" {
		p.Email = pii.MaskEmail(p.Email)
	}
	if p.Address != nil {
		a := p.Address.Masked()
		p.Address = &a
	}
	p.About = p.About.masked()
	return p
}

// Masked is the address as everybody sees it without revealing.
func (a Address) Masked() Address {
	if a.Line1 != "" {
		a.Line1 = pii.MaskAddressLine(a.Line1)
	}
	if a.Line2 != "" {
		a.Line2 = "***"
	}
	return a
}

func (a AddressAbout) masked() AddressAbout {
	if a.RecipientName != "" {
		a.RecipientName = pii.MaskName(a.RecipientName)
	}
	if a.RecipientPhone != "" {
		a.RecipientPhone = pii.MaskPhone(a.RecipientPhone)
	}
	return a
}

// maskPhone spares the commonest numbers the parser, which costs more than all
// the rest of a list's row: a mainland mobile number has eleven digits and the
// general mask shows the first three and last four of them (compared in a test).
func maskPhone(e164, kind string) string {
	if kind == "mobile" && len(e164) == 14 && strings.HasPrefix(e164, "+86") {
		return e164[3:6] + "****" + e164[10:]
	}
	return pii.MaskPhone(e164)
}
