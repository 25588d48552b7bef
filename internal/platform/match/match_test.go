package match

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pii"
)

func pinyin(name string) (surname, given string) {
	s, g := pii.SplitName(name)
	return s.Spelling, g.Spelling
}

type quality struct {
	precision, recall float64
	found             int
	report            Report
}

func measure(t testing.TB, records []labelled, least float64) quality {
	t.Helper()
	all, stats := make([]Person, len(records)), NewStats()
	members := map[int]int{}
	for i, r := range records {
		all[i] = Prepare(r.Record)
		stats.Add(&all[i])
		members[r.person]++
	}
	total := 0
	for _, n := range members {
		total += n * (n - 1) / 2
	}
	right := 0
	pairs, report, err := Find(context.Background(), all, stats, least, nil)
	require.NoError(t, err)
	for _, p := range pairs {
		if records[p.Left].person == records[p.Right].person {
			right++
		}
	}
	return quality{float64(right) / float64(max(1, len(pairs))), float64(right) / float64(total), len(pairs), report}
}

// The threshold is fixed; the weights were looked at on files of another seed.
func TestGeneratedDuplicatesAreFound(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{101, 102} {
		g := newGenerator(seed)
		western := file(g.people(7000), 10_000, g.r, g.spoil)
		chinese := file(g.chinese(seed, 7000), 10_000, g.r, g.spoilChinese)
		// As customers have them: names in one field, no impossible dates.
		whole := slices.Clone(western)
		for i := range whole {
			r := &whole[i].Record
			r.Name = strings.TrimSpace(r.Given + " " + r.Surname)
			if _, err := time.Parse("20060102", r.BirthDate); err != nil {
				r.BirthDate = ""
			}
		}
		for name, records := range map[string][]labelled{"western": western, "western, whole names": whole, "chinese": chinese} {
			q := measure(t, records, Threshold)
			t.Logf("%s: precision %.4f, recall %.4f, %d pairs, %+v", name, q.precision, q.recall, q.found, q.report)
			require.GreaterOrEqual(t, q.precision, 0.98, name)
			require.GreaterOrEqual(t, q.recall, 0.90, name)
			require.Less(t, q.report.Compared, int64(100*len(records)), "pairs stay in proportion to records")
		}
	}
}

func TestNobodyIsHisOwnFamily(t *testing.T) {
	t.Parallel()
	home := Address{Line1: "12 Farwick Street", Place: "Norton", Postcode: "2343", Region: "NSW"}
	john := Record{Name: "John Farmore", BirthDate: "1950-03-14", Address: home}
	for name, c := range map[string]struct {
		other Record
		same  bool
	}{
		"wife":                {Record{Name: "Mary Farmore", BirthDate: "1952-07-02", Address: home}, false},
		"son of his name":     {Record{Name: "John Farmore", BirthDate: "1981-11-27", Address: home}, false},
		"twin":                {Record{Name: "Peter Farmore", BirthDate: "1950-03-14", Address: home}, false},
		"someone of the name": {Record{Name: "John Farmore", Address: Address{Line1: "3 Other Road", Place: "Elham", Postcode: "9000"}}, false},
		"himself, mistyped":   {Record{Name: "Jonh Farmoer", BirthDate: "1950-03-14", Address: home}, true},
		"himself, exchanged":  {Record{Name: "Farmore John", BirthDate: "1950-14-03", Address: home}, true},
		"himself, moved":      {Record{Name: "John Farmore", BirthDate: "1950-03-14", Address: Address{Line1: "3 Other Road", Place: "Elham", Postcode: "9000"}}, true},
		"himself, one digit":  {Record{Name: "Johnny Farmore", BirthDate: "1950-03-15", Address: home}, true},
	} {
		a, b := Prepare(john), Prepare(c.other)
		score, reasons := Explain(&a, &b, nil)
		require.Equal(t, c.same, score >= Threshold, "%s: %.3f %v", name, score, reasons)
		back, _ := Explain(&b, &a, nil)
		require.InDelta(t, score, back, 1e-6, "the order does not matter: %s", name)
	}
}

func TestChineseNames(t *testing.T) {
	t.Parallel()
	at := func(name string) Person {
		return Prepare(Record{Name: name, BirthDate: "1990-05-17", Address: Address{Line1: "南京东路100号3栋201室", Place: "上海市"}})
	}
	a := at("王晓明")
	for name, same := range map[string]bool{"王小明": true, "Wang Xiaoming": true, "xiaoming wang": true, "wangxiaoming": true, "WANG Xiao-Ming": true, "王晓红": false, "李建国": false} {
		b := at(name)
		score, reasons := Explain(&a, &b, nil)
		require.Equal(t, same, score >= Threshold, "%s: %.3f %v", name, score, reasons)
	}
}

func TestMissingValuesSayNothing(t *testing.T) {
	t.Parallel()
	a := Prepare(Record{Name: "Ann Lee"})
	b := Prepare(Record{Phones: []string{"+8613800138000"}, BirthDate: "1990-01-01"})
	_, reasons := Explain(&a, &b, nil)
	require.Empty(t, reasons)
}

func TestRareNamesSayMore(t *testing.T) {
	t.Parallel()
	stats := NewStats()
	for i := range 5000 {
		r := Record{Name: "John Smith"}
		if i%100 == 0 {
			r.Name = fmt.Sprintf("Zebedee%d Quark%d", i, i)
		}
		p := Prepare(r)
		stats.Add(&p)
	}
	score := func(name string) float64 {
		a := Prepare(Record{Name: name, BirthDate: "1980-01-02"})
		return Score(&a, &a, stats)
	}
	require.Greater(t, score("Zebedee100 Quark100"), 0.99)
	require.Less(t, score("John Smith"), Threshold)
}

func TestIdentifiers(t *testing.T) {
	t.Parallel()
	with := func(id string) Person {
		return Prepare(Record{Surname: "Lee", IDs: []ID{{Kind: "card", Value: id, One: true}}})
	}
	a, same, slip, other := with("12-3456789"), with("123456789"), with("123456798"), with("987654321")
	require.Greater(t, Score(&a, &same, nil), 0.9)
	require.Greater(t, Score(&a, &slip, nil), Score(&a, &other, nil))
	_, reasons := Explain(&a, &slip, nil)
	require.Equal(t, Reason{FieldIdentifier, Close, reasons[0].Weight}, reasons[0])
	_, reasons = Explain(&a, &other, nil)
	require.Equal(t, Reason{FieldIdentifier, Different, -4}, reasons[0])
}

// Four thousand namesakes are not eight million pairs, and the copies among
// them are found all the same.
func TestLargeBlocksAreDivided(t *testing.T) {
	t.Parallel()
	var all []Person
	stats := NewStats()
	for i := range 4000 {
		r := Record{Name: "王伟", BirthDate: fmt.Sprintf("19%02d%02d%02d", 50+i%50, 1+i/50%12, 1+i/600%28), Phones: []string{fmt.Sprintf("1380013%04d", i)},
			Address: Address{Line1: fmt.Sprintf("人民路%d号", i), Place: "上海市", Postcode: "200000"}}
		if i%400 == 399 {
			r.BirthDate, r.Address.Line1 = "19370421", "长安街77号" // ten times the same
		}
		p := Prepare(r)
		stats.Add(&p)
		all = append(all, p)
	}
	pairs, report, err := Find(context.Background(), all, stats, Threshold, nil)
	require.NoError(t, err)
	require.Positive(t, report.Windowed)
	require.Less(t, report.Compared, int64(4000*1000))
	hits := 0
	for _, p := range pairs {
		if p.Left%400 == 399 && p.Right%400 == 399 {
			hits++
		}
	}
	require.Equal(t, 45, hits)
}

func TestFindStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := Find(ctx, []Person{Prepare(Record{Name: "a b"})}, NewStats(), Threshold, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestDistances(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"smith", "smith", 0}, {"smith", "smtih", 1}, {"smith", "smit", 1}, {"smith", "smythe", 2}, {"smith", "jones", 4}, {"", "ab", 2}, {"王小明", "王明小", 1}} {
		require.Equal(t, c.want, distance(c.a, c.b, 3), "%s %s", c.a, c.b)
	}
	require.InDelta(t, 0.961, jaroWinkler("martha", "marhta"), 0.001)
	require.InDelta(t, 0.840, jaroWinkler("dwayne", "duane"), 0.001)
	require.InDelta(t, 0.813, jaroWinkler("dixon", "dicksonx"), 0.001)
	require.Equal(t, phonetic("zhang"), phonetic("zang"))
	require.Equal(t, phonetic("smith"), phonetic("smyth"))
	require.Equal(t, phonetic("philip"), phonetic("filip"))
}

func TestAddressLines(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"12a Stanley Street":  {"12a", "stanley st"},
		"Unit 3/45 Mount Rd.": {"3-45", "unit mt rd"},
		"南京东路100号3栋201室":      {"100-3-201", "南京东路 号 栋 室"},
		"":                    {"", ""},
	} {
		number, text := line(in)
		require.Equal(t, want, [2]string{number, text})
	}
}

// BenchmarkPairs compares pairs that share a key; b.N pairs a run.
func BenchmarkPairs(b *testing.B) {
	g := newGenerator(1)
	records := file(g.people(7000), 10_000, g.r, g.spoil)
	all, stats := make([]Person, len(records)), NewStats()
	for i := range records {
		all[i] = Prepare(records[i].Record)
		stats.Add(&all[i])
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		Score(&all[i%10_000], &all[i*7%10_000], stats)
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)*1e6, "ms/million")
}

// BenchmarkFind searches ten thousand records for duplicates.
func BenchmarkFind(b *testing.B) {
	g := newGenerator(1)
	records := file(g.chinese(1, 7000), 10_000, g.r, g.spoilChinese)
	all, stats := make([]Person, len(records)), NewStats()
	for i := range records {
		all[i] = Prepare(records[i].Record)
		stats.Add(&all[i])
	}
	var compared int64
	for b.Loop() {
		_, report, err := Find(context.Background(), all, stats, Threshold, nil)
		require.NoError(b, err)
		compared += report.Compared
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(compared)*1e6, "ms/million-pairs")
}
