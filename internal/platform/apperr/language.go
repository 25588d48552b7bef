package apperr

import (
	"strconv"
	"strings"
)

// Language reads an Accept-Language header for Text: "zh" or "en", whichever
// the caller prefers of the two, English when it names neither.
func Language(acceptLanguage string) string {
	best, lang := 0.0, "en"
	for part := range strings.SplitSeq(acceptLanguage, ",") {
		tag, params, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			parsed, err := strconv.ParseFloat(v, 64)
			if err != nil {
				continue
			}
			q = parsed
		}
		primary, _, _ := strings.Cut(strings.TrimSpace(tag), "-")
		if (primary == "zh" || primary == "en") && q > best {
			best, lang = q, primary
		}
	}
	return lang
}
