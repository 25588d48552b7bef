package catalog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// titles are what texts and fragments are made of.
var titles = []string{"红楼梦", "中国古典文学读本丛书", "Harry Potter与魔法石", "C++ Primer（第5版）", "２０２６春 连衣裙", "A.B", "人民々文学〇", "ﾊﾘｰ", "naïve — café", "100%_棉\\", "𠀀𠀁x"}

// TestTermsAreThoseOfTheDatabase makes sure that no text is missed by a fragment
// of it: what the database keeps has all that is looked for.
func TestTermsAreThoseOfTheDatabase(t *testing.T) {
	s, ctx := open(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		text := titles[i%len(titles)]
		if i >= len(titles) {
			text += []string{"", " ", "，", "-"}[r.IntN(4)] + titles[r.IntN(len(titles))]
		}
		var folded string
		var kept pgarray.Strings
		require.NoError(t, s.db.QueryRow(ctx, "SELECT catalog_text($1), catalog_terms(catalog_text($1))", text).Scan(&folded, &kept))
		require.Equal(t, folded, foldText(text), text)
		runes := []rune(folded)
		from := r.IntN(len(runes))
		fragment := string(runes[from : from+1+r.IntN(len(runes)-from)])
		for _, word := range strings.Fields(fragment) {
			for _, term := range fragmentTerms(word) {
				require.Contains(t, []string(kept), term, "%q of %q", fragment, text)
			}
		}
	}
	assert.Equal(t, []string{"楼梦", "红楼"}, fragmentTerms("红楼梦"))
	assert.Equal(t, []string{"红"}, fragmentTerms("红"))
	assert.Equal(t, []string{"arr", "har", "rry"}, fragmentTerms("harry"))
	assert.Equal(t, []string{"ha"}, fragmentTerms("ha"))
	assert.Empty(t, fragmentTerms("h"))
}

func TestSearchOfProducts(t *testing.T) {
	s, ctx := open(t)
	top, err := s.CreateCategory(ctx, "图书", nil, nil)
	require.NoError(t, err)
	novels, err := s.CreateCategory(ctx, "小说", &top.ID, nil)
	require.NoError(t, err)
	dream, err := s.CreateProduct(ctx, ProductInput{Kind: "book", Title: "红楼梦（上下）", Brand: "人民文学", CategoryID: &novels.ID,
		Book:     &schema.Book{ISBN10: "702000220X", CLCCode: "I242.4", Language: "zh", WorkID: "hlm", Publisher: "人民文学出版社", Contributors: []schema.Contributor{{Name: "曹雪芹", Role: "author"}, {Name: "程伟元", Role: "editor"}}},
		Variants: []VariantInput{{SKU: "HLM-1", PriceAmount: 5970}}})
	require.NoError(t, err)
	assert.Equal(t, []string{"曹雪芹"}, dream.Book.Authors)
	potter, err := s.CreateProduct(ctx, ProductInput{Kind: "book", Title: "Harry Potter and the Philosopher's Stone", CategoryID: &top.ID,
		Book: &schema.Book{Authors: []string{"J. K. Rowling"}, Language: "en", CLCCode: "I561.45", Series: "Harry Potter"}, Variants: []VariantInput{{SKU: "HP-1", PriceAmount: 9900}, {SKU: "HP-2", PriceAmount: 12900}}})
	require.NoError(t, err)
	dress, err := s.CreateProduct(ctx, ProductInput{Kind: "apparel", Title: "梦幻连衣裙", Brand: "甲牌", Apparel: &schema.Apparel{Season: "2026春", Fabric: "棉"},
		Options: []OptionInput{{Name: "颜色", Values: values("红", "蓝")}, {Name: "尺码", Values: values("M", "L")}}, Variants: []VariantInput{{SKU: "DR-1", PriceAmount: 100, Options: map[string]string{"颜色": "红", "尺码": "M"}}}})
	require.NoError(t, err)
	names := map[uuid.UUID]string{dream.ID: "dream", potter.ID: "potter", dress.ID: "dress"}
	find := func(f ProductFilter) []string {
		t.Helper()
		found, _, err := s.ListProducts(ctx, f)
		require.NoError(t, err)
		out := []string{}
		for _, p := range found.Items {
			out = append(out, names[p.ID])
			require.NotEmpty(t, p.Edges.Variants)
		}
		return out
	}
	low, high := ptr[int64](6000), ptr[int64](10000)
	for name, c := range map[string]struct {
		f    ProductFilter
		want []string
	}{
		"one character":         {ProductFilter{Text: "梦"}, []string{"dress", "dream"}},
		"two characters":        {ProductFilter{Text: "红楼"}, []string{"dream"}},
		"author":                {ProductFilter{Text: "曹雪"}, []string{"dream"}},
		"publisher":             {ProductFilter{Text: "文学出版"}, []string{"dream"}},
		"brand":                 {ProductFilter{Text: "甲牌"}, []string{"dress"}},
		"letters":               {ProductFilter{Text: "pot"}, []string{"potter"}},
		"two letters":           {ProductFilter{Text: "RR"}, []string{"potter"}},
		"words":                 {ProductFilter{Text: "potter rowling"}, []string{"potter"}},
		"words in full width":   {ProductFilter{Text: "ｐｏｔｔｅｒ　stone"}, []string{"potter"}},
		"words of two products": {ProductFilter{Text: "potter 红楼"}, []string{}},
		"SKU":                   {ProductFilter{Text: "HP-2"}, []string{"potter"}},
		"ISBN-13":               {ProductFilter{Text: "978-7-02-000220-7"}, []string{"dream"}},
		"ISBN-10":               {ProductFilter{Text: "702000220x"}, []string{"dream"}},
		"ISBN filter":           {ProductFilter{ISBN: "702000220X"}, []string{"dream"}},
		"author by name":        {ProductFilter{Author: "J. K. ROWLING"}, []string{"potter"}},
		"class":                 {ProductFilter{CLC: "I24"}, []string{"dream"}},
		"top class":             {ProductFilter{CLC: "I"}, []string{"potter", "dream"}},
		"language":              {ProductFilter{Language: "zh"}, []string{"dream"}},
		"work":                  {ProductFilter{WorkID: "hlm"}, []string{"dream"}},
		"season":                {ProductFilter{Season: "2026春"}, []string{"dress"}},
		"fabric":                {ProductFilter{Fabric: "棉"}, []string{"dress"}},
		"no such fabric":        {ProductFilter{Fabric: "丝"}, []string{}},
		"colour and size":       {ProductFilter{Colour: "红", Size: "m"}, []string{"dress"}},
		"no such size yet":      {ProductFilter{Size: "L"}, []string{}},
		"category":              {ProductFilter{CategoryID: &top.ID}, []string{"potter"}},
		"category and below":    {ProductFilter{CategoryID: &top.ID, Below: true}, []string{"potter", "dream"}},
		"brand by id":           {ProductFilter{BrandID: dress.BrandID}, []string{"dress"}},
		"kind":                  {ProductFilter{Kind: "book"}, []string{"potter", "dream"}},
		"price range":           {ProductFilter{MinPrice: low, MaxPrice: high}, []string{"potter"}},
		"cheapest first":        {ProductFilter{Sort: "price"}, []string{"dress", "dream", "potter"}},
		"dearest first":         {ProductFilter{Sort: "-price", Kind: "book"}, []string{"potter", "dream"}},
		"oldest first":          {ProductFilter{Sort: "created_at"}, []string{"dream", "potter", "dress"}},
		"a sign is no wildcard": {ProductFilter{Text: "红%梦"}, []string{}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, find(c.f)) })
	}
	_, _, err = s.ListProducts(ctx, ProductFilter{Text: "x"})
	refused(t, err, ErrSearchShort, "?q")

	_, facets, err := s.ListProducts(ctx, ProductFilter{Facets: true})
	require.NoError(t, err)
	assert.True(t, facets.Complete)
	for _, want := range []Facet{{"kind", "book", "book", 2}, {"brand", dress.BrandID.String(), "甲牌", 1}, {"category", novels.ID.String(), "小说", 1}, {"author", "曹雪芹", "曹雪芹", 1}, {"colour", "红", "红", 1}, {"size", "m", "m", 1}, {"season", "2026春", "2026春", 1}, {"fabric", "棉", "棉", 1}, {"language", "en", "en", 1}} {
		assert.True(t, slices.Contains(facets.Counts, want), "%v in %v", want, facets.Counts)
	}

	// Pages in every order show each product once.
	for _, order := range []string{"", "created_at", "price", "-price"} {
		var seen []uuid.UUID
		var cursor *string
		for {
			got, _, err := s.ListProducts(ctx, ProductFilter{Sort: order, Limit: ptr[int32](1), Cursor: cursor, Total: true})
			require.NoError(t, err)
			assert.EqualValues(t, 3, *got.Total)
			seen = append(seen, got.Items[0].ID)
			if cursor = got.Next; cursor == nil {
				break
			}
		}
		assert.ElementsMatch(t, []uuid.UUID{dream.ID, potter.ID, dress.ID}, seen, order)
	}

	// What is searched follows what is written, whoever writes it.
	_, err = s.UpdateProduct(ctx, dream.ID, nil, ProductChange{Title: ptr("石头记"), Brand: nullable.NewNullNullable[string]()})
	require.NoError(t, err)
	assert.Empty(t, find(ProductFilter{Text: "红楼"}))
	assert.Equal(t, []string{"dream"}, find(ProductFilter{Text: "头记"}))
	_, err = s.GenerateVariants(ctx, dress.ID, Generation{SKUPrefix: "DR", PriceAmount: 700})
	require.NoError(t, err)
	assert.Equal(t, []string{"dress"}, find(ProductFilter{Size: "L", MinPrice: ptr[int64](700), MaxPrice: ptr[int64](700)}))
	_, err = s.UpdateVariant(ctx, potter.Edges.Variants[0].ID, nil, VariantChange{Status: ptr("archived")})
	require.NoError(t, err)
	assert.Empty(t, find(ProductFilter{MinPrice: low, MaxPrice: high}))
	_, err = s.UpdateBrand(ctx, *dress.BrandID, nil, ptr("乙牌"), nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"dress"}, find(ProductFilter{Text: "乙牌"}))
	again, err := s.db.Commerce.Product.Get(ctx, dress.ID)
	require.NoError(t, err)
	assert.Equal(t, "乙牌", again.Brand)
}

func TestBrands(t *testing.T) {
	s, ctx := open(t)
	b, err := s.CreateBrand(ctx, " 甲牌 ", "")
	require.NoError(t, err)
	_, err = s.CreateBrand(ctx, "甲牌", "")
	refused(t, err, ErrBrandTaken, "/name")
	p, err := s.CreateProduct(ctx, ProductInput{Title: "x", Brand: "甲牌"})
	require.NoError(t, err)
	assert.Equal(t, b.ID, *p.BrandID, "the text names the brand")
	_, err = s.CreateProduct(ctx, ProductInput{Title: "x", BrandID: ptr(uuid.New())})
	refused(t, err, ErrBrandUnknown, "/brand_id")
	_, err = s.CreateProduct(ctx, ProductInput{Title: "x", BrandID: &b.ID, Brand: "甲牌"})
	refused(t, err, ErrBrandTwice, "/brand_id")
	require.True(t, ErrBrandInUse.Is(s.DeleteBrand(ctx, b.ID, nil)))
	p, err = s.UpdateProduct(ctx, p.ID, nil, ProductChange{Brand: nullable.NewNullableWithValue("乙牌")})
	require.NoError(t, err)
	assert.NotEqual(t, b.ID, *p.BrandID)
	require.NoError(t, s.DeleteBrand(ctx, b.ID, nil))
	found, err := s.ListBrands(ctx, "乙", nil, nil, true)
	require.NoError(t, err)
	assert.EqualValues(t, 1, *found.Total)
	assert.Equal(t, *p.BrandID, found.Items[0].ID)
}

func TestMatrixOfSizes(t *testing.T) {
	s, ctx := open(t)
	code, name := "alpha", "字母码"
	z, err := s.CreateSizeSystem(ctx, SizeSystemInput{Code: &code, Name: &name, Labels: []string{"S", "M", "L"}})
	require.NoError(t, err)
	_, err = s.CreateSizeSystem(ctx, SizeSystemInput{Code: &code, Name: &name, Labels: []string{"S"}})
	refused(t, err, ErrSizeCodeTaken, "/code")
	_, err = s.UpdateSizeSystem(ctx, z.ID, nil, SizeSystemInput{Labels: []string{"S", "S"}})
	refused(t, err, ErrSizeRepeated, "/labels/1")
	p, err := s.CreateProduct(ctx, ProductInput{Kind: "apparel", Title: "x", Apparel: &schema.Apparel{SizeSystem: "alpha", Colours: []schema.Colour{{Name: "红", Family: "暖"}},
		SizeChart: &schema.SizeChart{Columns: []string{"胸围"}, Rows: []schema.SizeRow{{Size: "S", Values: []string{"84"}}}}},
		Options: []OptionInput{{Name: "尺码", Values: values("L", "XXL", "S")}, {Name: "颜色", Values: values("红", "蓝")}}})
	require.NoError(t, err)
	_, err = s.GenerateVariants(ctx, p.ID, Generation{SKUPrefix: "X", Only: map[string][]string{"颜色": {"红"}}})
	require.NoError(t, err)
	m, err := s.Matrix(ctx, p.ID)
	require.NoError(t, err)
	assert.Equal(t, "颜色", m.Rows.Name, "sizes run across")
	var order []string
	for _, v := range m.Columns.Values {
		order = append(order, v.Value)
	}
	assert.Equal(t, []string{"S", "L", "XXL"}, order, "in the order of the system, others last")
	require.Len(t, m.Cells[[2]string{"红", "S"}], 1)
	assert.Equal(t, "X-S-红", m.Cells[[2]string{"红", "S"}][0].Sku)
	assert.Empty(t, m.Cells[[2]string{"蓝", "S"}])

	_, err = s.CreateProduct(ctx, ProductInput{Kind: "apparel", Title: "x", Apparel: &schema.Apparel{SizeChart: &schema.SizeChart{Columns: []string{"a", "b"}, Rows: []schema.SizeRow{{Size: "S", Values: []string{"84"}}}}}})
	refused(t, err, ErrSizeChart, "/apparel/size_chart/rows/0/values")
	plain, err := s.CreateProduct(ctx, ProductInput{Title: "x"})
	require.NoError(t, err)
	none, err := s.Matrix(ctx, plain.ID)
	require.NoError(t, err)
	assert.Empty(t, none.Rows.Values)
	_, err = s.Matrix(context.WithoutCancel(ctx), uuid.New())
	require.True(t, ErrProductNotFound.Is(err))
	require.NoError(t, s.DeleteSizeSystem(ctx, z.ID, nil))
}

func TestCLCCodes(t *testing.T) {
	for code, want := range map[string]bool{"I": true, "I242.4": true, "TP312": true, "TP312.8": true, "D922.290.4": true, "K892-6": true, "H319.4:I": true, "L1": false, "W": false, "": false, "i242": false, "IA1": false, "I242四": false} {
		assert.Equal(t, want, CLC(code), code)
	}
}

func TestCategoriesAreSuggested(t *testing.T) {
	s, ctx := open(t)
	category := func(name string) *commerce.Category {
		c, err := s.CreateCategory(ctx, name, nil, nil)
		require.NoError(t, err)
		return c
	}
	novels, cooking, dresses := category("小说"), category("烹饪"), category("连衣裙")
	nothing, err := s.SuggestCategories(ctx, "红楼梦", nil, "")
	require.NoError(t, err)
	require.Empty(t, nothing)
	for i, p := range []ProductInput{
		{Kind: "book", Title: "红楼梦", CategoryID: &novels.ID, Book: &schema.Book{CLCCode: "I242.4", Contributors: []schema.Contributor{{Name: "曹雪芹", Role: "author"}}}},
		{Kind: "book", Title: "西游记", CategoryID: &novels.ID, Book: &schema.Book{CLCCode: "I242.4"}},
		{Kind: "book", Title: "家常菜谱 easy cooking", CategoryID: &cooking.ID, Book: &schema.Book{CLCCode: "TS972.1"}},
		{Kind: "book", Title: "川菜大全", CategoryID: &cooking.ID, Book: &schema.Book{CLCCode: "TS972.1"}},
		{Title: "真丝连衣裙", CategoryID: &dresses.ID}, {Title: "碎花连衣裙", CategoryID: &dresses.ID}, {Title: "红色连衣裙"},
	} {
		p.Variants = []VariantInput{{SKU: fmt.Sprint("S", i), PriceAmount: 100}}
		_, err := s.CreateProduct(ctx, p)
		require.NoError(t, err)
	}
	for name, c := range map[string]struct {
		text, clc string
		authors   []string
		want      *commerce.Category
		evidence  string
	}{
		"a word":             {text: "夏季连衣裙", want: dresses, evidence: "连衣"},
		"an author":          {text: "石头记", authors: []string{"曹雪芹"}, want: novels, evidence: "曹雪芹"},
		"a class":            {text: "三国演义", clc: "I242.1", want: novels, evidence: "I242."},
		"a Latin word":       {text: "COOKING for two", want: cooking, evidence: "oki"},
		"a class over words": {text: "大全", clc: "I242.4", want: novels, evidence: "I242.4"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := s.SuggestCategories(ctx, c.text, c.authors, c.clc)
			require.NoError(t, err)
			require.NotEmpty(t, got)
			require.Equal(t, c.want.Name, got[0].Name, "%v", got)
			require.Greater(t, got[0].Score, 0.5)
			sum := 0.0
			for _, one := range got {
				sum += one.Score
			}
			require.InDelta(t, 1, sum, 1e-9)
			require.Contains(t, got[0].Evidence, c.evidence)
		})
	}
	nothing, err = s.SuggestCategories(ctx, "xyz 你我", nil, "")
	require.NoError(t, err)
	require.Empty(t, nothing)
}
