package catalog

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Suggestion is a category that a product may belong to.
type Suggestion struct {
	CategoryID uuid.UUID
	Name       string
	Score      float64  // its share of all that speaks for any category, 0 to 1
	Evidence   []string // what says most for it
}

// suggestSQL asks, for each term of a product, in which categories the first few
// hundred products that have it are. A term votes for each category with its share
// of those products, by its purity: the sum of the squared shares is 1 for a
// term of one category, and small for what is said everywhere. A term seen once
// counts half, one seen often nearly whole.
// Plan: a bitmap scan of product_search_terms_idx for each term.
const suggestSQL = `
WITH wanted AS (
    SELECT DISTINCT term FROM unnest(catalog_terms(catalog_text($1))) term WHERE term ~ '[^a-z0-9]' OR length(term) > 2
    UNION SELECT 'a=' || catalog_text(a) FROM unnest($2::text[]) a
    UNION SELECT 'f=' || left($3, n) FROM generate_series(1, length($3)) n
    LIMIT 400
), seen AS (
    SELECT w.term, s.category_id, count(*) AS n
    FROM wanted w CROSS JOIN LATERAL (SELECT category_id FROM product_search WHERE terms @> ARRAY[w.term] AND category_id IS NOT NULL LIMIT 300) s
    GROUP BY w.term, s.category_id
), shares AS (
    SELECT term, category_id, n / sum(n) OVER term AS share, sum(n) OVER term AS of_term FROM seen WINDOW term AS (PARTITION BY term)
), votes AS (
    SELECT term, category_id, share * sum(share * share) OVER (PARTITION BY term) * of_term / (of_term + 1) AS vote FROM shares
), scores AS (
    SELECT category_id, sum(vote) / sum(sum(vote)) OVER () AS score, (array_agg(regexp_replace(term, '^[af]=', '') ORDER BY vote DESC, length(term) DESC, term))[1:5] AS evidence
    FROM votes GROUP BY category_id
)
SELECT c.id, c.name, s.score, s.evidence FROM scores s JOIN categories c ON c.id = s.category_id ORDER BY s.score DESC, c.name LIMIT 5`

// SuggestCategories says which categories a product may belong to, the likeliest
// first, from what the products that have one are called.
func (s *Service) SuggestCategories(ctx context.Context, text string, authors []string, clc string) ([]Suggestion, error) {
	rows, err := s.db.From(ctx).Query(ctx, suggestSQL, text, pgarray.Strings(authors), clc)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Suggestion
	for rows.Next() {
		var one Suggestion
		if err := rows.Scan(&one.CategoryID, &one.Name, &one.Score, (*pgarray.Strings)(&one.Evidence)); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, rows.Err()
}
