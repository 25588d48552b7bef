package pii_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pii"
)

func TestNamesAreTakenApart(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][4]string{
		"王小明":              {"王", "wang", "小明", "xiaoming"},
		"欧阳 娜娜":            {"欧阳", "ouyang", "娜娜", "nana"},
		"曾毅":               {"曾", "zeng", "毅", "yi"},
		"John  Smith":      {"smith", "smith", "john", "john"},
		"Smith, John Paul": {"smith", "smith", "johnpaul", "johnpaul"},
		"Vincent van Gogh": {"vangogh", "vangogh", "vincent", "vincent"},
		"José Núñez":       {"nunez", "nunez", "jose", "jose"},
		"white":            {"white", "white", "", ""},
		"阿卜杜拉·买买提":         {"买买提", "maimaiti", "阿卜杜拉", "abudula"},
		"":                 {"", "", "", ""},
		"O'Neill":          {"oneill", "oneill", "", ""},
		"Ann Smith-Jones":  {"smithjones", "smithjones", "ann", "ann"},
	} {
		s, g := pii.SplitName(name)
		require.Equal(t, want, [4]string{s.Text, s.Spelling, g.Text, g.Spelling}, name)
	}
}
