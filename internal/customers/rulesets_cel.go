package customers

import (
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/google/uuid"
)

// Expressions are CEL (docs/adr/0005-validation-expressions.md): typed, without
// loops other than over the lists that are there, without effects. What one may
// cost is bounded below; an expression that reaches the bound does not apply.
const (
	maxExpression     = 2000 // characters
	maxExpressionCost = 20_000
	maxRecursion      = 50
)

// ruleEnv are the names that expressions may use, with their types. Those that
// may be missing can be compared with null.
func ruleEnv(custom []*Field, more ...cel.EnvOption) (*cel.Env, error) {
	text := cel.NullableType(cel.StringType)
	options := []cel.EnvOption{
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(4 * maxExpression),
		cel.ParserRecursionLimit(maxRecursion),
		cel.Variable("today", cel.TimestampType),
		cel.Variable("age", cel.NullableType(cel.IntType)),
		cel.Variable("birth_date", cel.NullableType(cel.TimestampType)),
		cel.Variable("gender", cel.StringType),
		cel.Variable("language", cel.StringType),
		cel.Variable("source", cel.StringType),
		cel.Variable("lifecycle_stage", cel.StringType),
		cel.Variable("home_store_id", text),
		cel.Variable("assigned_staff_id", text),
		cel.Variable("address_region", text),
		cel.Variable("address_city", text),
		cel.Variable("has_name", cel.BoolType),
		cel.Variable("has_phone", cel.BoolType),
		cel.Variable("has_email", cel.BoolType),
		cel.Variable("has_card_number", cel.BoolType),
		cel.Variable("has_external_id", cel.BoolType),
		cel.Variable("marketing_preferences", cel.MapType(cel.StringType, cel.BoolType)),
	}
	options = append(options, more...)
	for _, f := range custom {
		t := text
		switch f.Kind {
		case FieldNumber:
			t = cel.NullableType(cel.DoubleType)
		case FieldBoolean:
			t = cel.NullableType(cel.BoolType)
		case FieldDate:
			t = cel.NullableType(cel.TimestampType)
		case FieldMultiChoice:
			t = cel.ListType(cel.StringType) // empty when missing
		}
		options = append(options, cel.Variable("custom."+f.Key, t))
	}
	return cel.NewEnv(options...)
}

// withTags lets validation rules name the customer's tags. Conditions of tags may
// not: one tag would follow from another, in no order in particular.
var withTags = cel.Variable("tags", cel.ListType(cel.StringType))

// compileRule checks and compiles an expression. Error: ErrRuleExpression with
// the reason.
func compileRule(env *cel.Env, expression string) (cel.Program, error) {
	program, reason := compile(env, expression)
	if reason != "" {
		return nil, ErrRuleExpression.At("/expression").Arg("reason", reason)
	}
	return program, nil
}

// compile says in reason why an expression cannot be used.
func compile(env *cel.Env, expression string) (program cel.Program, reason string) {
	ast, issues := env.Compile(expression)
	if issues != nil && issues.Err() != nil {
		var reasons []string
		for _, e := range issues.Errors() {
			reasons = append(reasons, fmt.Sprintf("%d:%d: %s", e.Location.Line(), e.Location.Column()+1, e.Message))
		}
		return nil, cutRunes(strings.Join(reasons, "; "), 500)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, "the result is " + ast.OutputType().String() + ", not bool"
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxExpressionCost))
	if err != nil {
		return nil, cutRunes(err.Error(), 500)
	}
	return program, ""
}

// verdict is what came of a rule for one customer.
type verdict int

const (
	held verdict = iota
	broken
	notApplicable
)

// holds evaluates a rule. One that compares a value which is missing fails to
// evaluate: it says nothing about this customer.
func (r *Rule) holds(vars map[string]any) verdict { return evaluate(r.program, vars) }

func evaluate(p cel.Program, vars map[string]any) verdict {
	out, _, err := p.Eval(vars)
	switch {
	case err != nil:
		return notApplicable
	case out == types.True:
		return held
	}
	return broken
}

// subject is what rules know of a customer: nothing that is sealed, only
// whether it is there.
type subject struct {
	birth                                *time.Time
	gender, language, source, stage      string
	store, staff                         uuid.UUID
	region, city                         string
	hasName, hasPhone, hasEmail, hasCard bool
	hasExternalID                        bool
	tags                                 []string
	marketing                            map[string]bool
	custom                               map[string]any
	bought                               *purchases
}

func subjectOf(c *Customer) subject {
	s := subject{birth: c.BirthDate, gender: c.Gender, language: c.Language, source: c.Source, stage: c.LifecycleStage, store: c.storeID(), staff: c.staffID(),
		hasName: c.Name != "", hasPhone: c.Phone != "", hasEmail: c.Email != "", hasCard: c.Card != "", hasExternalID: c.ExternalID != nil,
		tags: c.Tags, marketing: c.MarketingPreferences, custom: c.CustomFields, bought: c.bought}
	if c.Address != nil {
		s.region, s.city = cutRunes(c.Address.Region, 64), cutRunes(c.Address.City, 64) // as they are kept
	}
	return s
}

// variables are the values of the names in an expression.
func (r *ruleSet) variables(s subject, today time.Time) map[string]any {
	vars := make(map[string]any, 21+len(r.custom))
	vars["today"] = today
	vars["age"], vars["birth_date"] = nil, nil
	if s.birth != nil {
		vars["age"], vars["birth_date"] = age(*s.birth, today), *s.birth
	}
	vars["gender"], vars["language"], vars["source"], vars["lifecycle_stage"] = s.gender, s.language, s.source, s.stage
	vars["home_store_id"], vars["assigned_staff_id"] = idOrNull(s.store), idOrNull(s.staff)
	vars["address_region"], vars["address_city"] = textOrNull(s.region), textOrNull(s.city)
	vars["has_name"], vars["has_phone"], vars["has_email"], vars["has_card_number"], vars["has_external_id"] = s.hasName, s.hasPhone, s.hasEmail, s.hasCard, s.hasExternalID
	tags, marketing := s.tags, s.marketing
	if tags == nil {
		tags = []string{}
	}
	if marketing == nil {
		marketing = map[string]bool{}
	}
	vars["tags"], vars["marketing_preferences"] = tags, marketing
	for _, f := range r.custom {
		vars["custom."+f.Key] = f.expressed(s.custom[f.Key])
	}
	return vars
}

// expressed is a stored value as its declared type; what is not of that type
// (written before the field was defined) counts as missing.
func (f *Field) expressed(v any) any {
	switch f.Kind {
	case FieldNumber:
		if n, ok := v.(float64); ok {
			return n
		}
	case FieldBoolean:
		if b, ok := v.(bool); ok {
			return b
		}
	case FieldMultiChoice:
		out := []string{}
		if list, ok := v.([]any); ok {
			for _, one := range list {
				if s, ok := one.(string); ok {
					out = append(out, s)
				}
			}
		}
		return out
	case FieldDate:
		if s, ok := v.(string); ok {
			if t, err := time.Parse(time.DateOnly, s); err == nil {
				return t
			}
		}
	default:
		if s, ok := v.(string); ok {
			return s
		}
	}
	return nil
}

// age is the number of birthdays that somebody has had; who was born on
// 29 February has it on 1 March in other years.
func age(birth, today time.Time) int64 {
	n := today.Year() - birth.Year()
	if today.Month() < birth.Month() || today.Month() == birth.Month() && today.Day() < birth.Day() {
		n--
	}
	return int64(n)
}

func idOrNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id.String()
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
