package catalog

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

// loadSQL makes a catalogue: titles of words as skewed as real ones (the n-th is
// used as often as 1/n says), in Chinese and now and then in English, one variant
// each with a GTIN-13, every fifth product a book with author, class and language.
// Triggers are off meanwhile; what they keep is made at once.
var loadSQL = []string{
	"ALTER TABLE products DISABLE TRIGGER USER", "ALTER TABLE variants DISABLE TRIGGER USER",
	`CREATE TEMP TABLE words AS SELECT n, (SELECT string_agg(chr(19968 + (hashint4(n * 31 + k) & 8191)), '') FROM generate_series(1, 2 + n % 2) k) AS han,
		(SELECT string_agg(substr('etaoinshrdlucmfwypvbgkqjxz', 1 + (hashint4(n * 17 + k) & 15), 1), '') FROM generate_series(1, 4 + n % 4) k) AS latin FROM generate_series(1, 20000) n`,
	`CREATE TEMP TABLE drawn AS SELECT i, ceil(exp(random() * ln(20000)))::int AS a, ceil(exp(random() * ln(20000)))::int AS b, ceil(exp(random() * ln(20000)))::int AS c,
		ceil(exp(random() * ln(5000)))::int AS d FROM generate_series(1, $1) i`,
	`INSERT INTO brands (id, name, created_at, updated_at) SELECT md5('b' || n)::uuid, '牌' || n, now(), now() FROM generate_series(1, 300) n`,
	`INSERT INTO categories (id, name, version, created_at, updated_at) SELECT md5('c' || n)::uuid, '类' || n, 1, now(), now() FROM generate_series(1, 200) n`,
	`INSERT INTO products (id, kind, title, brand, brand_id, category_id, status, source, book, version, created_at, updated_at)
		SELECT (lpad(to_hex(1700000000000 + i), 12, '0') || '7' || substr(md5('p' || i), 1, 3) || '8' || substr(md5('p' || i), 4, 15))::uuid, CASE WHEN i % 5 = 0 THEN 'book' ELSE 'general' END,
			CASE WHEN i % 7 = 0 THEN x.latin || ' ' || y.latin || ' ' || z.latin ELSE x.han || y.han || z.han || i % 100 END, '牌' || 1 + i % 300, md5('b' || 1 + i % 300)::uuid, md5('c' || 1 + i % 200)::uuid,
			CASE WHEN i % 20 = 0 THEN 'archived' ELSE 'active' END, 'import',
			CASE WHEN i % 5 = 0 THEN jsonb_build_object('authors', jsonb_build_array(w.han), 'clc_code', substr('ABCDFGHIKT', 1 + i % 10, 1) || i % 900, 'language', CASE WHEN i % 50 = 0 THEN 'en' ELSE 'zh' END) END, 1, now(), now()
		FROM drawn d JOIN words x ON x.n = d.a JOIN words y ON y.n = d.b JOIN words z ON z.n = d.c JOIN words w ON w.n = d.d`,
	`INSERT INTO variants (id, product_id, sku, barcode, price_amount, status, version, created_at, updated_at)
		SELECT md5('v' || n)::uuid, id, 'S' || n, '69' || lpad(n::text, 10, '0') || (10 - (6 + 3 * 9 + (SELECT sum(substr(lpad(n::text, 10, '0'), k, 1)::int * CASE WHEN k % 2 = 0 THEN 3 ELSE 1 END) FROM generate_series(1, 10) k)) % 10) % 10,
			100 + n % 50000, 'active', 1, now(), now() FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM products) p`,
	`INSERT INTO variant_barcodes (id, variant_id, kind, code, created_at) SELECT md5('x' || n)::uuid, md5('v' || n)::uuid, 'internal', 'IN-' || n, now()
		FROM generate_series(1, $1, 5) n`,
	"SELECT refresh_product_search(ARRAY(SELECT id FROM products))",
	"ALTER TABLE products ENABLE TRIGGER USER", "ALTER TABLE variants ENABLE TRIGGER USER", "VACUUM ANALYZE",
}

// TestSearchAtScale prints the plans of searches among SHUKE_PLAN_VARIANTS
// products of one variant, kept in docs/plans/catalog-search.md, and measures them.
func TestSearchAtScale(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SHUKE_PLAN_VARIANTS"))
	if n == 0 {
		t.Skip("set SHUKE_PLAN_VARIANTS, for example to 500000")
	}
	clone := pgtest.NewDatabase(t)
	owner := clone.Owner(t)
	owner.SetMaxOpenConns(1) // temporary tables belong to a connection
	start := time.Now()
	for _, q := range loadSQL {
		var args []any
		if strings.Contains(q, "$1") {
			args = []any{n}
		}
		_, err := owner.Exec(q, args...)
		require.NoError(t, err, q)
	}
	t.Logf("%d products made in %s", n, time.Since(start).Round(time.Second))
	s, ctx := openOn(t, clone.Open(t))
	needles := map[string][]string{}
	add := func(kind, query string) {
		rows, err := owner.Query(query)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var one string
			require.NoError(t, rows.Scan(&one))
			needles[kind] = append(needles[kind], one)
		}
		require.NoError(t, rows.Err())
	}
	// Fragments of products drawn at random are as common as those that people look for.
	sample := "(SELECT title, random() AS r FROM products TABLESAMPLE BERNOULLI (5) REPEATABLE (7)) p"
	add("one Chinese character", "SELECT substr(title, 1 + (r * 3)::int, 1) FROM "+sample+" WHERE title ~ '^[一-鿿]{5}' LIMIT 500")
	add("two Chinese characters", "SELECT substr(title, 1 + (r * 3)::int, 2) FROM "+sample+" WHERE title ~ '^[一-鿿]{5}' LIMIT 500")
	add("three Chinese characters", "SELECT substr(title, 1 + (r * 2)::int, 3) FROM "+sample+" WHERE title ~ '^[一-鿿]{5}' LIMIT 500")
	add("a Latin fragment of three letters", "SELECT substr(title, 1, 3) FROM "+sample+" WHERE title ~ '^[a-z]{3}' LIMIT 500")
	add("a Latin word", "SELECT split_part(title, ' ', 2) FROM "+sample+" WHERE title ~ '^[a-z]{3}' LIMIT 500")
	add("an author", "SELECT book -> 'authors' ->> 0 FROM products TABLESAMPLE BERNOULLI (5) REPEATABLE (7) WHERE book IS NOT NULL LIMIT 500")
	add("a barcode", "SELECT barcode FROM variants TABLESAMPLE BERNOULLI (5) REPEATABLE (7) LIMIT 1000")
	for _, kind := range []string{"one Chinese character", "two Chinese characters", "three Chinese characters", "a Latin fragment of three letters", "a Latin word", "an author", "a barcode"} {
		var took []time.Duration
		for round := range 2 { // the first warms up
			took = took[:0]
			for _, needle := range needles[kind] {
				began := time.Now()
				var err error
				switch kind {
				case "a barcode":
					_, _, err = s.ListVariants(ctx, VariantFilter{Barcode: needle})
				case "an author":
					_, _, err = s.ListProducts(ctx, ProductFilter{Author: needle})
				default:
					_, _, err = s.ListProducts(ctx, ProductFilter{Text: needle})
				}
				require.NoError(t, err, "%s %q", kind, needle)
				took = append(took, time.Since(began))
			}
			_ = round
		}
		slices.Sort(took)
		at := func(share float64) time.Duration {
			return took[min(len(took)-1, int(share*float64(len(took))))].Round(10 * time.Microsecond)
		}
		fmt.Printf("| %s | %d | %s | %s | %s | %s |\n", kind, len(took), at(.5), at(.95), at(.99), at(1))
	}
	for _, f := range []ProductFilter{{Text: needles["one Chinese character"][0]}, {Text: needles["two Chinese characters"][1]}, {Text: needles["a Latin word"][2]}, {Author: needles["an author"][0]}, {Sort: "price", Kind: "book"}, {CLC: "I1", Language: "en"}} {
		l := page.NewList[int32]("x", nil)
		q, err := s.search(ctx, f, &l)
		require.NoError(t, err)
		order := " ORDER BY s.product_id DESC"
		if f.Sort == "price" {
			order = " ORDER BY s.low_price, s.product_id"
		}
		if q.terms {
			s.explain(ctx, t, fmt.Sprintf("SELECT s.product_id, 0 FROM (SELECT s.* FROM product_search s%s LIMIT %d) s", order, near)+q.sql()+order+" LIMIT 51", q.args...)
		}
		s.explain(ctx, t, "SELECT s.product_id, coalesce(s.low_price, 0) FROM product_search s"+q.sql()+order+" LIMIT 51", q.args...)
	}
	s.explain(ctx, t, codesSQL, "{"+needles["a barcode"][0]+"}", "")
}

// explain prints a statement with its plan, and fails if it reads a whole table.
func (s *Service) explain(ctx context.Context, t *testing.T, query string, args ...any) {
	t.Helper()
	rows, err := s.db.QueryByValues(ctx, "EXPLAIN (ANALYZE, COSTS OFF, BUFFERS, SUMMARY OFF) "+query, args...)
	require.NoError(t, err)
	defer rows.Close()
	fmt.Printf("\n```\n%s -- %v\n\n", strings.TrimSpace(query), args)
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		fmt.Println(line)
		require.NotContains(t, line, "Seq Scan on p")
		require.NotContains(t, line, "Seq Scan on v")
	}
	fmt.Println("```")
	require.NoError(t, rows.Err())
}
