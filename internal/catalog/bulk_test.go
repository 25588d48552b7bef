package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

func TestTakingProductsOver(t *testing.T) {
	s, ctx := open(t)
	item := func(title, sku string, price int64) BulkItem {
		return BulkItem{ProductInput: ProductInput{Title: title, Variants: []VariantInput{{SKU: sku, PriceAmount: price}}}}
	}
	count := func() (n int) {
		require.NoError(t, s.db.QueryRow(ctx, "SELECT count(*) FROM products").Scan(&n))
		return n
	}
	tried, err := s.TakeOver(ctx, []BulkItem{item("甲", "A", 100)}, false, true)
	require.NoError(t, err)
	assert.Equal(t, "created", tried[0].Status)
	assert.Zero(t, count(), "a trial changes nothing")

	done, err := s.TakeOver(ctx, []BulkItem{item("甲", "A", 100), item(" ", "B", 1), item("乙", "C", 200), item("丙", "A", 1), {ProductInput: ProductInput{Title: "x"}}}, false, false)
	require.NoError(t, err)
	var states []string
	for _, o := range done {
		states = append(states, o.Status)
	}
	assert.Equal(t, []string{"created", "error", "created", "error", "error"}, states, "each by itself")
	refused(t, done[1].Err, ErrBlank, "/title")
	assert.True(t, ErrProductKnown.Is(done[3].Err))
	assert.Equal(t, done[0].ProductID, apperr.From(done[3].Err).Extra["existing_id"])
	refused(t, done[4].Err, ErrBulkUnnamed, "/variants")
	assert.Equal(t, 2, count())
	var audited int
	require.NoError(t, s.db.QueryRow(ctx, "SELECT count(*) FROM audit_logs WHERE action = 'catalog.product.create'").Scan(&audited))
	assert.Equal(t, 2, audited, "what was taken back is not in the log")

	more := item("甲二", "A", 150)
	more.Brand = "甲牌"
	more.Variants = append(more.Variants, VariantInput{SKU: "A2", PriceAmount: 7})
	steal := item("丁", "A", 1)
	steal.Variants = append(steal.Variants, VariantInput{SKU: "C", PriceAmount: 1})
	done, err = s.TakeOver(ctx, []BulkItem{more, steal}, true, false)
	require.NoError(t, err)
	assert.Equal(t, "updated", done[0].Status)
	refused(t, done[1].Err, ErrSKUTaken, "/variants/1/sku")
	found, _, err := s.ListProducts(ctx, ProductFilter{Text: "A2"})
	require.NoError(t, err)
	require.Len(t, found.Items, 1)
	assert.Equal(t, "甲二", found.Items[0].Title, "what failed changed nothing")
	assert.Equal(t, "甲牌", found.Items[0].Brand)
	assert.EqualValues(t, 150, found.Items[0].Edges.Variants[0].PriceAmount)
}

func message(body string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><ONIXMessage release="3.0" xmlns="http://ns.editeur.org/onix/3.0/reference"><Header><Sender><SenderName>x</SenderName></Sender></Header>` + body + `</ONIXMessage>`
}

const referenceTags = `<Product><RecordReference>r1</RecordReference><NotificationType>03</NotificationType>
<ProductIdentifier><ProductIDType>15</ProductIDType><IDValue>9787020002207</IDValue></ProductIdentifier>
<DescriptiveDetail><ProductForm>BB</ProductForm>
<Collection><TitleDetail><TitleType>01</TitleType><TitleElement><PartNumber>2</PartNumber><TitleText>四大名著</TitleText></TitleElement></TitleDetail></Collection>
<TitleDetail><TitleType>01</TitleType><TitleElement><TitleElementLevel>01</TitleElementLevel><TitleText>红楼梦</TitleText><Subtitle>校注本</Subtitle></TitleElement></TitleDetail>
<Contributor><SequenceNumber>2</SequenceNumber><ContributorRole>B06</ContributorRole><NamesBeforeKey>David</NamesBeforeKey><KeyNames>Hawkes</KeyNames></Contributor>
<Contributor><SequenceNumber>1</SequenceNumber><ContributorRole>A01</ContributorRole><PersonName>曹雪芹</PersonName></Contributor>
<Language><LanguageRole>01</LanguageRole><LanguageCode>chi</LanguageCode></Language>
<Subject><SubjectSchemeIdentifier>10</SubjectSchemeIdentifier><SubjectCode>FIC004000</SubjectCode></Subject>
<Subject><SubjectSchemeIdentifier>93</SubjectSchemeIdentifier><SubjectCode>FBC</SubjectCode></Subject>
<Subject><SubjectSchemeIdentifier>24</SubjectSchemeIdentifier><SubjectSchemeName>CLC</SubjectSchemeName><SubjectCode>I242.4</SubjectCode></Subject>
</DescriptiveDetail>
<CollateralDetail><TextContent><TextType>03</TextType><Text textformat="05"><p>一 <b>梦</b></p></Text></TextContent></CollateralDetail>
<PublishingDetail><Publisher><PublishingRole>01</PublishingRole><PublisherName>人民文学出版社</PublisherName></Publisher>
<PublishingDate><PublishingDateRole>01</PublishingDateRole><Date>19961201</Date></PublishingDate></PublishingDetail>
<ProductSupply><SupplyDetail><Price><PriceType>01</PriceType><PriceAmount>50.00</PriceAmount><CurrencyCode>CNY</CurrencyCode></Price>
<Price><PriceType>02</PriceType><PriceAmount>59.7</PriceAmount><CurrencyCode>CNY</CurrencyCode></Price>
<Price><PriceType>02</PriceType><PriceAmount>9</PriceAmount><CurrencyCode>USD</CurrencyCode></Price></SupplyDetail></ProductSupply></Product>`

const shortTagged = `<ONIXmessage release="3.0"><product><a001>r2</a001><a002>03</a002><productidentifier><b221>02</b221><b244>7111213823</b244></productidentifier>
<descriptivedetail><b012>BC</b012><titledetail><b202>01</b202><titleelement><b030>The</b030><b031>Book</b031></titleelement></titledetail>
<contributor><b035>A01</b035><b047>机械工业出版社</b047></contributor></descriptivedetail></product></ONIXmessage>`

func TestReadingONIX(t *testing.T) {
	got, err := ReadONIX(strings.NewReader(message(referenceTags)), "CNY", 2)
	require.NoError(t, err)
	require.Len(t, got, 1)
	r := got[0]
	require.NoError(t, r.Err)
	assert.Equal(t, "r1", r.Reference)
	assert.Equal(t, "红楼梦：校注本", r.Title)
	assert.Equal(t, "一 梦", r.Description)
	assert.False(t, r.NoPrice)
	assert.EqualValues(t, 5970, r.Variants[0].PriceAmount, "to consumers with tax, in our currency")
	assert.Equal(t, &schema.Book{ISBN13: "9787020002207", ISBN10: "702000220X", Format: "hardback", Publisher: "人民文学出版社", PublishedOn: "1996-12-01", CLCCode: "I242.4", Language: "zh", Series: "四大名著", Volume: "2",
		Contributors: []schema.Contributor{{Name: "曹雪芹", Role: "author"}, {Name: "David Hawkes", Role: "translator"}}, SubjectCodes: []schema.SubjectCode{{Scheme: "bisac", Code: "FIC004000"}, {Scheme: "thema", Code: "FBC"}}}, r.Book)

	short, err := ReadONIX(strings.NewReader(shortTagged), "CNY", 2)
	require.NoError(t, err)
	require.Len(t, short, 1)
	assert.Equal(t, "The Book", short[0].Title)
	assert.Equal(t, "9787111213826", short[0].Book.ISBN13)
	assert.True(t, short[0].NoPrice)

	odd, err := ReadONIX(strings.NewReader(message(`<Product><NotificationType>05</NotificationType></Product><Product><ProductIdentifier><ProductIDType>15</ProductIDType><IDValue>9787020002208</IDValue></ProductIdentifier></Product>`)), "CNY", 2)
	require.NoError(t, err)
	assert.True(t, ErrONIXDelete.Is(odd[0].Err))
	assert.True(t, ErrISBN.Is(odd[1].Err))

	deep := strings.Repeat("<a>", 30) + strings.Repeat("</a>", 30)
	for name, c := range map[string]struct {
		text string
		want *apperr.Definition
	}{
		"empty":           {"", ErrONIX},
		"cut off":         {message(referenceTags)[:400], ErrONIX},
		"not ONIX":        {"<a/>", ErrONIX},
		"a document type": {`<!DOCTYPE ONIXMessage SYSTEM "file:///etc/passwd">` + message(""), ErrONIX},
		"an entity":       {message("<Product><RecordReference>&x;</RecordReference></Product>"), ErrONIX},
		"too deep":        {message("<Product>" + deep + "</Product>"), ErrONIX},
		"too much text":   {message("<Product><a>" + strings.Repeat("x", onixText+1) + "</a></Product>"), ErrONIX},
		"too many nodes":  {message("<Product>" + strings.Repeat("<a/>", onixNodes+1) + "</Product>"), ErrONIX},
		"another release": {`<ONIXMessage release="2.1"/>`, ErrONIXRelease},
		"too many":        {message(strings.Repeat("<Product/>", onixProducts+1)), ErrONIXLarge},
		"odd encoding":    {`<?xml version="1.0" encoding="x-none"?><ONIXMessage/>`, ErrONIX},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadONIX(strings.NewReader(c.text), "CNY", 2)
			assert.True(t, c.want.Is(err), "%v", err)
		})
	}
}

func TestTakingONIXOver(t *testing.T) {
	s, ctx := open(t)
	records, err := ReadONIX(strings.NewReader(message(referenceTags)), "CNY", 2)
	require.NoError(t, err)
	short, err := ReadONIX(strings.NewReader(shortTagged), "CNY", 2)
	require.NoError(t, err)
	items := []BulkItem{records[0].BulkItem, short[0].BulkItem}
	for round, want := range []string{"created", "updated"} {
		done, err := s.TakeOver(ctx, items, true, false)
		require.NoError(t, err)
		for _, o := range done {
			require.NoError(t, o.Err)
			assert.Equal(t, want, o.Status, "round %d", round)
		}
	}
	found, _, err := s.ListProducts(ctx, ProductFilter{Author: "曹雪芹", CLC: "I24"})
	require.NoError(t, err)
	require.Len(t, found.Items, 1)
	assert.EqualValues(t, 5970, found.Items[0].Edges.Variants[0].PriceAmount)
	drafts, _, err := s.ListProducts(ctx, ProductFilter{Status: "draft"})
	require.NoError(t, err)
	require.Len(t, drafts.Items, 1, "without a price it is a draft")
}

// FuzzONIX holds what is read from any text against what a product may be.
func FuzzONIX(f *testing.F) {
	f.Add(message(referenceTags))
	f.Add(shortTagged)
	f.Add("<ONIXMessage><Product><ProductIdentifier><ProductIDType>15</ProductIDType><IDValue>978</IDValue></ProductIdentifier></Product></ONIXMessage>")
	f.Fuzz(func(t *testing.T, text string) {
		records, err := ReadONIX(strings.NewReader(text), "CNY", 2)
		if err != nil {
			require.NotNil(t, apperr.From(err), "%v", err)
			return
		}
		for _, r := range records {
			if r.Err != nil {
				continue
			}
			_, ok := ParseISBN(r.Book.ISBN13)
			require.True(t, ok)
			require.Len(t, r.Variants, 1)
			require.GreaterOrEqual(t, r.Variants[0].PriceAmount, int64(0))
			require.LessOrEqual(t, len([]rune(r.Title)), 300)
		}
	})
}
