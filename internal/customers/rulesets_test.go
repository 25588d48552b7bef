package customers

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExpressions(t *testing.T) {
	custom := []*Field{{Key: "size", Kind: FieldNumber}, {Key: "club", Kind: FieldText}, {Key: "wedding", Kind: FieldDate}, {Key: "vip", Kind: FieldBoolean}, {Key: "tastes", Kind: FieldMultiChoice}}
	env, err := ruleEnv(custom, withTags)
	require.NoError(t, err)
	birth := time.Date(2012, 2, 29, 0, 0, 0, 0, time.UTC)
	full := subject{birth: &birth, gender: "female", language: "zh-CN", source: "staff", stage: "active", store: uuid.New(), city: "上海市", hasPhone: true, tags: []string{"a", "b"},
		marketing: map[string]bool{"sms": true},
		custom:    map[string]any{"size": 42.5, "club": "book", "wedding": "2020-05-20", "vip": true, "tastes": []any{"novels"}}}
	set := &ruleSet{custom: custom}
	today := time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)
	for expression, want := range map[string][2]verdict{ // of somebody known, and of nobody known
		"age == 13":   {held, broken}, // a birthday on 1 March
		"age == null": {broken, held},
		"age < 14":    {held, notApplicable},
		"age > 20":    {broken, notApplicable},
		"has_phone":   {held, broken},
		"birth_date == null || birth_date < timestamp('2012-03-01T00:00:00Z')": {held, held},
		"custom.size > 42":    {held, notApplicable},
		"custom.size == 42.5": {held, broken},
		"custom.club != null && custom.club.startsWith('bo')": {held, broken},
		"custom.club.matches('^b[a-z]+$')":                    {held, notApplicable},
		"custom.wedding == null || custom.wedding < today":    {held, held},
		"custom.vip == true":                                  {held, broken},
		"'novels' in custom.tastes":                           {held, broken},
		"tags.exists(t, t == 'b')":                            {held, broken},
		"size(tags) <= 2":                                     {held, held},
		"!('sms' in marketing_preferences) || has_phone":      {held, held},
		"address_city == '上海市' && home_store_id != null":      {held, broken},
		"today.getFullYear() == 2026":                         {held, held},
	} {
		program, err := compileRule(env, expression)
		require.NoError(t, err, expression)
		r := &Rule{program: program}
		assert.Equal(t, want[0], r.holds(set.variables(full, today)), expression)
		assert.Equal(t, want[1], r.holds(set.variables(subject{}, today)), expression)
	}
	// What costs too much does not apply, and ends soon.
	many := full
	for range 100 {
		many.tags = append(many.tags, strings.Repeat("x", 60))
	}
	program, err := compileRule(env, "tags.all(a, tags.all(b, tags.all(c, a + b + c != 'y')))")
	require.NoError(t, err)
	begun := time.Now()
	assert.Equal(t, notApplicable, (&Rule{program: program}).holds(set.variables(many, today)))
	assert.Less(t, time.Since(begun), time.Second)
	_, err = compileRule(env, strings.Repeat("(", 200)+"true"+strings.Repeat(")", 200))
	assert.True(t, ErrRuleExpression.Is(err), "nested too deep")
}

func BenchmarkJudge(b *testing.B) {
	custom := []*Field{{Key: "size", Kind: FieldNumber}}
	env, err := ruleEnv(custom, withTags)
	require.NoError(b, err)
	set := &ruleSet{custom: custom}
	for range 10 {
		program, err := compileRule(env, "age == null || age < 14 || !('club' in tags)")
		require.NoError(b, err)
		set.active = append(set.active, &Rule{program: program})
	}
	birth := time.Date(2012, 2, 29, 0, 0, 0, 0, time.UTC)
	c := &Customer{BirthDate: &birth, Tags: []string{"club"}}
	b.ReportAllocs()
	for b.Loop() {
		var bad faults
		set.judge(c, time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC), &bad)
	}
}
