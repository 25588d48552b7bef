package customers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAgeInYears(t *testing.T) {
	for _, c := range []struct {
		born, today string
		want        int
	}{
		{"2020-02-29", "2026-02-28", 5}, {"2020-02-29", "2026-03-01", 6}, {"2020-02-29", "2024-02-29", 4},
		{"2020-12-31", "2021-01-01", 0}, {"2020-05-01", "2026-05-01", 6}, {"2026-05-01", "2026-05-01", 0},
	} {
		born, err := time.Parse(time.DateOnly, c.born)
		require.NoError(t, err)
		today, err := time.Parse(time.DateOnly, c.today)
		require.NoError(t, err)
		f := FamilyMember{FamilyDetails: FamilyDetails{BirthDate: &born}}
		assert.Equal(t, c.want, f.Age(today), "%s on %s", c.born, c.today)
	}
	assert.Equal(t, -1, new(FamilyMember).Age(time.Now()))
}
