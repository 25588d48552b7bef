package fakepeople

import (
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pii"
)

func TestPeopleAreValidAndDistinct(t *testing.T) {
	g := New(1)
	phones, emails := map[string]bool{}, map[string]bool{}
	for range 20_000 {
		p := g.Person()
		name, err := pii.NormalizeName(p.Name)
		require.NoError(t, err)
		require.Equal(t, name, p.Name)
		for _, r := range name {
			require.True(t, unicode.Is(unicode.Han, r))
		}
		require.False(t, phones[p.Phone], "a phone twice")
		phones[p.Phone] = true
		if p.Index < 3000 {
			phone, err := pii.ParsePhone(p.Phone, "")
			require.NoError(t, err, p.Phone)
			require.Equal(t, pii.Phone{E164: p.Phone, Kind: pii.PhoneMobile}, phone)
		}
		if p.Email != "" {
			email, err := pii.NormalizeEmail(p.Email)
			require.NoError(t, err, p.Email)
			require.False(t, emails[email.Key], "an e-mail twice")
			emails[email.Key] = true
		}
		require.NotEmpty(t, p.Address.Line1)
		require.Contains(t, []Gender{Male, Female}, p.Gender)
		require.Greater(t, p.BirthDate.Year(), 1940)
	}
	require.InDelta(t, 12_000, len(emails), 400)
}

func TestSameSeedSamePeople(t *testing.T) {
	a, b := New(7), New(7)
	for range 50 {
		require.Equal(t, a.Person(), b.Person())
	}
	require.Equal(t, a.At(3), b.At(3))
	require.NotEqual(t, New(8).At(3), a.At(3))
}

func TestNamesHaveTheSkewOfRealOnes(t *testing.T) {
	const n = 50_000
	g := New(2)
	surname, full, two := map[string]int{}, map[string]int{}, 0
	for range n {
		p := g.Person()
		surname[p.Surname]++
		full[p.Name]++
		if len([]rune(p.Name)) == 2 {
			two++
		}
	}
	require.InDelta(t, 0.072, float64(surname["王"])/n, 0.01)
	require.InDelta(t, 0.068, float64(surname["张"])/n, 0.01)
	require.Greater(t, surname["欧阳"], 5)
	require.InDelta(t, 0.20, float64(two)/n, 0.06, "share of two-character names")
	require.Greater(t, len(full), n*6/10, "most people have a name of their own")
	top := 0
	for _, c := range full {
		top = max(top, c)
	}
	require.Greater(t, top, 20, "and the commonest names are shared by many")
}

func TestNameTokensPerPerson(t *testing.T) {
	const n = 20_000
	g := New(3)
	sum, most := 0, 0
	for range n {
		k := len(pii.NameTokens(g.Person().Name))
		sum += k
		most = max(most, k)
	}
	t.Logf("%.1f tokens a name, at most %d", float64(sum)/n, most)
	require.InDelta(t, 19, float64(sum)/n, 4)
	require.LessOrEqual(t, most, 80)
}

func BenchmarkPerson(b *testing.B) {
	g := New(1)
	for b.Loop() {
		g.Person()
	}
}
