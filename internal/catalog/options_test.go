package catalog

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
)

func values(of ...string) []ValueInput {
	out := make([]ValueInput, len(of))
	for i, v := range of {
		out[i] = ValueInput{Value: v}
	}
	return out
}

func optionsOf(vs []*commerce.Variant) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, v := range vs {
		out[v.Sku] = v.Options
	}
	return out
}

func TestMatrixOfOptions(t *testing.T) {
	s, ctx := open(t)
	p, err := s.CreateProduct(ctx, ProductInput{Kind: "apparel", Title: "连衣裙", Options: []OptionInput{{Name: "colour", Values: []ValueInput{{Value: "红", Code: "RED"}, {Value: "蓝", Code: "BLUE"}}}, {Name: "size", Values: values("M", "L")}},
		Variants: []VariantInput{{SKU: "D-1", Options: map[string]string{"colour": "红", "size": "M", "note": "样衣"}}}})
	require.NoError(t, err)

	_, err = s.CreateProduct(ctx, ProductInput{Title: "x", Options: []OptionInput{{Name: "size", Values: values("M")}}, Variants: []VariantInput{{SKU: "X-1", Options: map[string]string{"size": "M"}}, {SKU: "X-2"}}})
	refused(t, err, ErrOptionMissing, "/variants/1/options")
	_, err = s.CreateVariant(ctx, p.ID, VariantInput{SKU: "D-2", Options: map[string]string{"colour": "绿", "size": "M"}})
	refused(t, err, ErrOptionValue, "/options")
	_, err = s.CreateVariant(ctx, p.ID, VariantInput{SKU: "D-2", Options: map[string]string{"colour": "红", "size": "M"}})
	refused(t, err, ErrCombinationTaken, "/options")

	made, err := s.GenerateVariants(ctx, p.ID, Generation{SKUPrefix: "D", PriceAmount: 100, Only: map[string][]string{"colour": {"蓝"}}})
	require.NoError(t, err)
	assert.Equal(t, map[string]map[string]string{"D-BLUE-M": {"colour": "蓝", "size": "M"}, "D-BLUE-L": {"colour": "蓝", "size": "L"}}, optionsOf(made.Made))
	made, err = s.GenerateVariants(ctx, p.ID, Generation{SKUPrefix: "D", PriceAmount: 100})
	require.NoError(t, err)
	assert.Equal(t, 3, made.Known)
	require.Len(t, made.Made, 1)
	assert.Equal(t, "D-RED-L", made.Made[0].Sku)
	made, err = s.GenerateVariants(ctx, p.ID, Generation{SKUPrefix: "D", PriceAmount: 100})
	require.NoError(t, err)
	assert.Empty(t, made.Made)
	_, err = s.GenerateVariants(ctx, p.ID, Generation{SKUPrefix: "D", Only: map[string][]string{"colour": {"绿"}}})
	refused(t, err, ErrOptionValue, "/only")

	// Names and values change for all variants, even if two values change places.
	changed, err := s.SetOptions(ctx, p.ID, nil, []OptionInput{{Name: "尺码", Was: "size", Values: []ValueInput{{Value: "M", Was: "L"}, {Value: "L", Was: "M"}, {Value: "XL"}}}, {Name: "colour", Values: []ValueInput{{Value: "大红", Was: "红"}, {Value: "蓝"}}}})
	require.NoError(t, err)
	assert.Equal(t, map[string]map[string]string{
		"D-1": {"colour": "大红", "尺码": "L", "note": "样衣"}, "D-RED-L": {"colour": "大红", "尺码": "M"}, "D-BLUE-M": {"colour": "蓝", "尺码": "L"}, "D-BLUE-L": {"colour": "蓝", "尺码": "M"},
	}, optionsOf(changed.Edges.Variants))
	made, err = s.GenerateVariants(ctx, p.ID, Generation{SKUPrefix: "D", PriceAmount: 100})
	require.NoError(t, err)
	assert.Len(t, made.Made, 2, "XL in both colours")

	_, err = s.SetOptions(ctx, p.ID, nil, []OptionInput{{Name: "尺码", Values: values("M", "L")}, {Name: "colour", Values: values("大红", "蓝")}})
	refused(t, err, ErrOptionInUse, "/options/0/values")
	_, err = s.SetOptions(ctx, p.ID, nil, []OptionInput{{Name: "尺码", Values: values("M", "L", "XL")}})
	refused(t, err, ErrCombinationTaken, "/options")
	_, err = s.SetOptions(ctx, p.ID, nil, []OptionInput{{Name: "a", Was: "b", Values: values("M")}})
	refused(t, err, ErrOptionWas, "/options/0/was")
	_, err = s.SetOptions(ctx, p.ID, nil, []OptionInput{{Name: "a", Values: values("M", "M ")}})
	refused(t, err, ErrOptionRepeated, "/options/0/values/1/value")

	// Taken off, each variant says again what it likes.
	off, err := s.SetOptions(ctx, p.ID, nil, nil)
	require.NoError(t, err)
	assert.Empty(t, off.Options)
	_, err = s.CreateVariant(ctx, p.ID, VariantInput{SKU: "free", Options: map[string]string{"x": "y"}})
	require.NoError(t, err)
	_, err = s.GenerateVariants(ctx, p.ID, Generation{SKUPrefix: "D"})
	assert.True(t, ErrNoOptions.Is(err))
}

func TestAProductHas250Variants(t *testing.T) {
	s, ctx := open(t)
	var many []string
	for i := range 84 {
		many = append(many, fmt.Sprint(i))
	}
	p, err := s.CreateProduct(ctx, ProductInput{Title: "x", Options: []OptionInput{{Name: "a", Values: values(many...)}, {Name: "b", Values: values("1", "2", "3")}}})
	require.NoError(t, err)
	_, err = s.GenerateVariants(ctx, p.ID, Generation{SKUPrefix: "X"})
	require.True(t, ErrTooManyVariants.Is(err), "%v", err)
	made, err := s.GenerateVariants(ctx, p.ID, Generation{SKUPrefix: "X", Only: map[string][]string{"a": many[:83]}})
	require.NoError(t, err)
	assert.Len(t, made.Made, 249)
	_, err = s.CreateVariant(ctx, p.ID, VariantInput{SKU: "250", Options: map[string]string{"a": "83", "b": "1"}})
	require.NoError(t, err)
	_, err = s.CreateVariant(ctx, p.ID, VariantInput{SKU: "251", Options: map[string]string{"a": "83", "b": "2"}})
	require.True(t, ErrTooManyVariants.Is(err), "%v", err)
}

func TestCheckDigits(t *testing.T) {
	for code, want := range map[string]bool{
		"96385074": true, "96385075": false, "036000291452": true, "036000291453": false, "6901234567892": true, "6901234567893": false,
		"10614141000415": true, "10614141000416": false, "123": false, "69012345678x2": false,
	} {
		assert.Equal(t, want, GTIN(code), code)
	}
	// A GTIN differs from every code with one digit changed.
	good := "6901234567892"
	for i := range good {
		for d := byte('0'); d <= '9'; d++ {
			if d != good[i] {
				assert.False(t, GTIN(good[:i]+string(d)+good[i+1:]))
			}
		}
	}
	assert.ElementsMatch(t, []string{"9787020002207", "702000220X"}, sameCodes("702000220X"))
	assert.ElementsMatch(t, []string{"9787020002207", "702000220X", "09787020002207"}, sameCodes("9787020002207"))
}

func TestWeighedCodes(t *testing.T) {
	layouts := []schema.WeighedLayout{{Prefix: "21", ItemDigits: 5, Measures: "weight", Decimals: 3}, {Prefix: "22", ItemDigits: 5, Measures: "price", Decimals: 2}, {Prefix: "23", ItemDigits: 6, Measures: "weight", Decimals: 2}}
	read := func(twelve string) Reading {
		r, ok := readWeighed(twelve+string(check13(twelve)), layouts, 2)
		require.True(t, ok, twelve)
		return r
	}
	assert.Equal(t, Reading{Item: "2112345", WeightGram: ptr[int64](1250)}, read("211234501250"))
	assert.Equal(t, Reading{Item: "2212345", Price: ptr[int64](1999)}, read("221234501999"))
	assert.Equal(t, Reading{Item: "23123456", WeightGram: ptr[int64](1250)}, read("231234560125"))
	_, ok := readWeighed("2112345012500", layouts, 2)
	assert.False(t, ok, "wrong check digit")
	_, ok = readWeighed("6901234567892", layouts, 2)
	assert.False(t, ok)
}

func TestBarcodesInAllTheirForms(t *testing.T) {
	s, ctx := open(t)
	p, err := s.CreateProduct(ctx, ProductInput{Kind: "book", Title: "红楼梦", Book: &schema.Book{ISBN10: "702000220X"}, Variants: []VariantInput{{SKU: "B", Barcode: ptr("036000291452")}, {SKU: "F"}}})
	require.NoError(t, err)
	b, f := p.Edges.Variants[0], p.Edges.Variants[1]
	_, err = s.AddBarcode(ctx, b.ID, "96385074", "")
	require.NoError(t, err)
	_, err = s.AddBarcode(ctx, b.ID, "9638-5074", "")
	refused(t, err, ErrBarcodeTaken, "/code")
	_, err = s.AddBarcode(ctx, b.ID, "12345678", "")
	refused(t, err, ErrCheckDigit, "/code")
	own, err := s.AddBarcode(ctx, b.ID, "12345678", "internal")
	require.NoError(t, err)
	isbn, err := s.AddBarcode(ctx, f.ID, "7-111-21382-3", "isbn")
	require.NoError(t, err)
	assert.Equal(t, "9787111213826", isbn.Code)
	_, err = s.AddBarcode(ctx, f.ID, "2112345", "weighed")
	refused(t, err, ErrBarcodeKind, "/code")
	_, err = s.SetSettings(ctx, nil, 0, []schema.WeighedLayout{{Prefix: "21", ItemDigits: 5, Measures: "weight", Decimals: 3}})
	require.NoError(t, err)
	_, err = s.AddBarcode(ctx, f.ID, "2112345", "weighed")
	require.NoError(t, err)
	_, err = s.AddBarcode(ctx, b.ID, "2112345", "weighed")
	refused(t, err, ErrBarcodeTaken, "/code")

	find := func(code string) (skus []string, read *Reading) {
		found, read, err := s.ListVariants(ctx, VariantFilter{Barcode: code})
		require.NoError(t, err)
		for _, v := range found.Items {
			skus = append(skus, v.Sku)
		}
		return skus, read
	}
	for code, want := range map[string][]string{
		"036000291452": {"B"}, "0036000291452": {"B"}, "00036000291452": {"B"}, "36000291452": nil, "96385074": {"B"}, "0000096385074": {"B"}, "12345678": {"B"},
		"9787111213826": {"F"}, "7111213823": {"F"}, "978-7-111-21382-6": {"F"}, "702000220x": {"F", "B"}, "9787020002207": {"F", "B"}, "6901234567892": nil,
	} {
		got, read := find(code)
		assert.ElementsMatch(t, want, got, code)
		assert.Nil(t, read)
	}
	weighed := "211234501250"
	got, read := find(weighed + string(check13(weighed)))
	assert.Equal(t, []string{"F"}, got)
	require.NotNil(t, read)
	assert.EqualValues(t, 1250, *read.WeightGram)

	require.NoError(t, s.RemoveBarcode(ctx, b.ID, own.ID))
	require.True(t, ErrBarcodeNotFound.Is(s.RemoveBarcode(ctx, b.ID, own.ID)))
	got, _ = find("12345678")
	assert.Empty(t, got)
	_, err = s.CreateVariant(ctx, p.ID, VariantInput{SKU: "Z", Barcode: ptr("6901234567893")})
	refused(t, err, ErrCheckDigit, "/barcode")
	_, err = s.SetSettings(ctx, nil, 0, []schema.WeighedLayout{{Prefix: "31", ItemDigits: 5}})
	refused(t, err, ErrLayout, "/weighed_layouts/0")
	one, err := s.ListBarcodes(ctx, f.ID, ptr[int32](1), nil, true)
	require.NoError(t, err)
	assert.EqualValues(t, 2, *one.Total)
	two, err := s.ListBarcodes(ctx, f.ID, ptr[int32](1), one.Next, false)
	require.NoError(t, err)
	assert.Equal(t, "2112345", two.Items[0].Code)
}
