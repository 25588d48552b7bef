package catalog

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

func TestParseISBN(t *testing.T) {
	for text, want := range map[string]ISBN{
		"9787020002207":     {"9787020002207", "702000220X"},
		"702000220X":        {"9787020002207", "702000220X"},
		"702000220x":        {"9787020002207", "702000220X"},
		"9787111213826":     {"9787111213826", "7111213823"},
		"7111213823":        {"9787111213826", "7111213823"},
		"978-7-02-000220-7": {"9787020002207", "702000220X"},
		"7-111-21382-3":     {"9787111213826", "7111213823"},
		"9780306406157":     {"9780306406157", "0306406152"},
		"0-8044-2957-X":     {"9780804429573", "080442957X"},
		"9791034304998":     {"9791034304998", ""}, // 979 has no short form
	} {
		got, ok := ParseISBN(text)
		require.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{
		"", "978702000220", "9787020002208", "7020002201", "70200022X0", "X020002207", "978702000220X", "97870200022O7",
		"6901234567892", // a GTIN with a right check digit, but no book
		"4006381333931", "97870200022071", "９７８７０２０００２２０７",
	} {
		_, ok := ParseISBN(text)
		assert.False(t, ok, text)
	}
}

// A single wrong digit and two neighbours swapped are what the check digits are for.
func TestISBNFindsTypingErrors(t *testing.T) {
	const ten = "7111213823"
	for i := range ten {
		for d := byte('0'); d <= '9'; d++ {
			if d == ten[i] {
				continue
			}
			_, ok := ParseISBN(ten[:i] + string(d) + ten[i+1:])
			assert.False(t, ok)
		}
		if i > 0 && ten[i] != ten[i-1] {
			_, ok := ParseISBN(ten[:i-1] + string(ten[i]) + string(ten[i-1]) + ten[i+1:])
			assert.False(t, ok)
		}
	}
}

func TestCompleteBook(t *testing.T) {
	b := schema.Book{ISBN10: "7-02-000220-x", PublishedOn: "1996-12", CLCCode: "I242.4"}
	require.NoError(t, completeBook(&b, "/book"))
	assert.Equal(t, "9787020002207", b.ISBN13)
	assert.Equal(t, "702000220X", b.ISBN10)
	for _, c := range []struct {
		book    schema.Book
		want    *apperr.Definition
		pointer string
	}{
		{schema.Book{ISBN13: "9787020002208"}, ErrISBN, "/book/isbn13"},
		{schema.Book{ISBN13: "702000220X"}, ErrISBN, "/book/isbn13"},
		{schema.Book{ISBN10: "9787020002207"}, ErrISBN, "/book/isbn10"},
		{schema.Book{ISBN13: "9787020002207", ISBN10: "7111213823"}, ErrISBNsDiffer, "/book/isbn10"},
		{schema.Book{PublishedOn: "1996-13"}, ErrPublishedOn, "/book/published_on"},
		{schema.Book{PublishedOn: "2025-02-29"}, ErrPublishedOn, "/book/published_on"},
		{schema.Book{CLCCode: "L1"}, ErrCLC, "/book/clc_code"},
		{schema.Book{CLCCode: "Y"}, ErrCLC, "/book/clc_code"},
	} {
		err := completeBook(&c.book, "/book")
		require.True(t, c.want.Is(err), "%+v: %v", c.book, err)
		assert.Equal(t, c.pointer, apperr.From(err).Fields[0].Pointer)
	}
}
