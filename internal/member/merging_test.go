package member

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/consent"
)

func TestWhichConsentsCountAfterAMerge(t *testing.T) {
	survivor, merged := uuid.New(), uuid.New()
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	row := func(of uuid.UUID, p Purpose, granted, withdrawn int) *crm.Consent {
		c := &crm.Consent{ID: uuid.New(), CustomerID: of, Purpose: p, GrantedAt: day(granted)}
		if withdrawn > 0 {
			at := day(withdrawn)
			c.WithdrawnAt = &at
		}
		return c
	}
	const marketing, terms = consent.PurposeMarketing, consent.PurposeTerms
	for name, c := range map[string]struct {
		rows []*crm.Consent
		ends []int
	}{
		"the later of two":                    {[]*crm.Consent{row(survivor, marketing, 1, 0), row(merged, marketing, 2, 0)}, []int{0}},
		"of the same moment, the survivor's":  {[]*crm.Consent{row(merged, marketing, 1, 0), row(survivor, marketing, 1, 0)}, []int{0}},
		"none when withdrawn later":           {[]*crm.Consent{row(survivor, marketing, 1, 0), row(merged, marketing, 2, 3)}, []int{0}},
		"given anew after withdrawing":        {[]*crm.Consent{row(survivor, marketing, 4, 0), row(merged, marketing, 2, 3)}, nil},
		"the terms in either record":          {[]*crm.Consent{row(survivor, terms, 1, 0), row(merged, terms, 2, 3)}, nil},
		"each purpose by itself":              {[]*crm.Consent{row(survivor, terms, 1, 0), row(merged, marketing, 2, 0)}, nil},
		"a newer version replaced the former": {[]*crm.Consent{row(survivor, marketing, 1, 2), row(survivor, marketing, 2, 0)}, nil},
	} {
		var want []uuid.UUID
		for _, i := range c.ends {
			want = append(want, c.rows[i].ID)
		}
		assert.Equal(t, want, superseded(c.rows, survivor), name)
	}
}
