// Command freqattack measures what the blind index of names gives away. It invents customers,
// builds the index column as the service does, and then plays a thief who has a dump of it but no
// keys, and who knows how names are distributed in the population. It reports for how many
// customers he guesses the surname or the whole name. docs/adr/0002-blind-index.md quotes it.
//
//	go run ./internal/tools/freqattack -n 1000000
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// scheme is one way to index names.
type scheme struct {
	name, what string
	terms      func(name string) []string
}

var schemes = []scheme{
	{"shipped", "pairs, first with last, pinyin and initials (pii.NameTokens)", pii.NameTokens},
	{"pairs", "Han pairs and first with last only", func(name string) []string { return only(pii.NameTokens(name), "h:") }},
	{"longer", "as shipped, but letters only from the fourth on (would refuse shorter searches)", func(name string) []string {
		out := only(pii.NameTokens(name), "h:")
		for _, t := range pii.NameTokens(name) {
			if strings.HasPrefix(t, "l:") && len(t) >= len("l:abcd") {
				out = append(out, t)
			}
		}
		return out
	}},
	{"chars", "each single character and the pairs (rejected)", func(name string) []string {
		terms := only(pii.NameTokens(name), "h:")
		seen := map[rune]bool{}
		for _, r := range name {
			if !seen[r] {
				seen[r] = true
				terms = append(terms, "c:"+string(r))
			}
		}
		return terms
	}},
}

func only(terms []string, prefix string) []string {
	out := terms[:0]
	for _, t := range terms {
		if strings.HasPrefix(t, prefix) {
			out = append(out, t)
		}
	}
	return out
}

func main() {
	n := flag.Int("n", 100_000, "customers in the dump")
	sample := flag.Int("sample", 1_000_000, "names in the thief's statistics, drawn from the same population")
	distort := flag.String("distort", "0,0.3", "errors of the thief's statistics to try: spread of the log of each name part's weight")
	top := flag.Int("top", 3000, "how many of the most frequent tokens he tries to recognise")
	scored := flag.Int("scored", 20_000, "customers scored")
	chosen := flag.String("scheme", "", "one scheme: shipped, pairs, longer or chars")
	flag.Parse()

	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "scheme\tcustomers\tstatistics off by\ttokens recognised\tsurname\tfull name\ttime\t")
	for _, s := range schemes {
		if *chosen != "" && s.name != *chosen {
			continue
		}
		for _, text := range strings.Split(*distort, ",") {
			var off float64
			if _, err := fmt.Sscan(text, &off); err != nil {
				fmt.Fprintln(os.Stderr, "freqattack: -distort:", err)
				os.Exit(2)
			}
			start := time.Now()
			d := makeDump(s, *n)
			k := learn(s, *sample, off)
			r := d.score(k, attack(d, k, *top, off), *scored)
			fmt.Fprintf(w, "%s\t%d\t%.0f %%\t%.1f %%\t%.1f %%\t%.1f %%\t%.0f s\t\n", s.name, *n, off*100,
				100*r.tokens, 100*r.surname, 100*r.full, time.Since(start).Seconds())
			if off == 0 {
				fmt.Fprintf(w, "%s\t%d\tblind guess\t\t%.1f %%\t%.1f %%\t\t\n", s.name, *n, 100*r.blindSurname, 100*r.blindFull)
			}
			_ = w.Flush()
		}
	}
}
