package apperr

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"":                         "en",
		"fr":                       "en",
		"*":                        "en",
		"zh":                       "zh",
		"zh-CN,zh;q=0.9,en;q=0.8":  "zh",
		"ZH-Hant-TW":               "zh",
		"zhx":                      "en",
		"en-GB":                    "en",
		"fr, zh;q=0.1":             "zh",
		"zh;q=0.5, en;q=0.9":       "en",
		"zh ; q=0.9, en; Q=0.5":    "zh",
		"zh;q=0":                   "en",
		"zh;q=x, en":               "en",
		"zh;q=NaN":                 "en",
		"en;q=0.8, zh;q=0.8":       "en",
		"de-DE , zh-Hans-CN;q=0.3": "zh",
	} {
		require.Equal(t, want, Language(header), header)
	}
}
