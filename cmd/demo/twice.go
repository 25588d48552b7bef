package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// plant adds people who are in the file already, as another shop has entered
// them: under another number, without phone and e-mail, the address written
// otherwise, some names with a wrong character or in Latin letters.
func plant(rows [][]string, people []identity) (all [][]string, planted map[string]string) {
	planted = map[string]string{}
	for n, p := range people {
		if n%30 != 8 || p.BirthDate.IsZero() {
			continue
		}
		number := "ALT-" + p.id
		name := p.Name
		if n%60 == 8 {
			name = " " + name + "（老）"
		}
		line := strings.NewReplacer("号", " 号 ", "室", "房").Replace(p.Address.Line1)
		rows = append(rows, []string{number, name, "", "", p.BirthDate.Format("2006.1.2"), "", p.Address.Region, p.Address.City, "", line, "", "分店名单", ""})
		planted[number] = externalID(p.id)
	}
	return rows, planted
}

type duplicateSide struct {
	ID         string  `json:"id"`
	ExternalID *string `json:"external_id"`
}

type duplicatePair struct {
	Left    duplicateSide `json:"left"`
	Right   duplicateSide `json:"right"`
	Score   float64       `json:"score"`
	Reasons []struct {
		Field     string `json:"field"`
		Agreement string `json:"agreement"`
	} `json:"reasons"`
}

// twice finds those whom plant has entered twice, merges two records, shows what
// came of it, undoes it, and compares all tables with what they were.
func (a *api) twice(ctx context.Context, planted map[string]string, program string) error {
	var scan struct {
		Job struct{ ID string } `json:"job"`
	}
	if err := a.call(ctx, "POST", "/v1/customer-duplicates/scan", "", nil, &scan); err != nil {
		return err
	}
	if err := a.done(ctx, scan.Job.ID); err != nil {
		return err
	}
	pairs, err := a.duplicates(ctx)
	if err != nil {
		return err
	}
	var found []duplicatePair
	for _, p := range pairs {
		if p.Left.ExternalID == nil || p.Right.ExternalID == nil {
			continue
		}
		l, r := *p.Left.ExternalID, *p.Right.ExternalID
		if planted[l] == r || planted[r] == l {
			found = append(found, p)
		}
	}
	fmt.Printf("  %d people are in the file twice; of %d likely pairs %d are theirs\n", len(planted), len(pairs), len(found))
	if len(found) == 0 {
		return errors.New("none of those entered twice was found")
	}
	pair := found[0]
	survivor, merged := pair.Left, pair.Right
	if strings.HasPrefix(*survivor.ExternalID, "ALT-") {
		survivor, merged = merged, survivor
	}
	var why []string
	for _, r := range pair.Reasons {
		why = append(why, r.Field+" "+r.Agreement)
	}
	fmt.Printf("  %s and %s: %.4f (%s)\n", *survivor.ExternalID, *merged.ExternalID, pair.Score, strings.Join(why, ", "))

	before, err := tables(ctx, program)
	if err != nil {
		return err
	}
	var merge struct{ ID string }
	if err := a.call(ctx, "POST", "/v1/customer-merges", "", map[string]any{"survivor_id": survivor.ID, "merged_id": merged.ID}, &merge); err != nil {
		return err
	}
	between, err := tables(ctx, program)
	if err != nil {
		return err
	}
	fmt.Printf("  merged; tables that changed: %s\n", strings.Join(differing(before, between), ", "))
	if err := a.show(ctx, "profile of "+*survivor.ExternalID+", asked for by the old id", "/v1/customers/"+merged.ID+"/profile"); err != nil {
		return err
	}
	if err := a.show(ctx, "their timeline, the latest five", "/v1/customers/"+survivor.ID+"/timeline?limit=5"); err != nil {
		return err
	}
	if err := a.call(ctx, "POST", "/v1/customer-merges/"+merge.ID+"/undo", "", nil, nil); err != nil {
		return err
	}
	after, err := tables(ctx, program)
	if err != nil {
		return err
	}
	if left := differing(before, after); len(left) > 0 {
		return fmt.Errorf("after undoing, tables are not as before: %s", strings.Join(left, ", "))
	}
	fmt.Printf("  undone; the checksums of all %d tables are as before the merge (what is left out: internal/platform/tablesum)\n", len(after))
	return nil
}

// done waits for the end of a job.
func (a *api) done(ctx context.Context, id string) error {
	for {
		var job struct {
			Status    string  `json:"status"`
			ErrorCode *string `json:"error_code"`
		}
		if err := a.call(ctx, "GET", "/v1/jobs/"+id, "", nil, &job); err != nil {
			return err
		}
		switch job.Status {
		case "succeeded":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("job %s %s: %s", id, job.Status, or(job.ErrorCode, "no reason given"))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// duplicates are all pairs that nobody has decided about, the likeliest first.
func (a *api) duplicates(ctx context.Context) (out []duplicatePair, err error) {
	for cursor := ""; ; {
		var page struct {
			Items []duplicatePair `json:"items"`
			Next  *string         `json:"next_cursor"`
		}
		if err := a.call(ctx, "GET", "/v1/customer-duplicates?limit=200"+cursor, "", nil, &page); err != nil {
			return nil, err
		}
		if out = append(out, page.Items...); page.Next == nil {
			return out, nil
		}
		cursor = "&cursor=" + *page.Next
	}
}

// show prints an answer.
func (a *api) show(ctx context.Context, what, path string) error {
	var answer any
	if err := a.call(ctx, "GET", path, "", nil, &answer); err != nil {
		return err
	}
	text, err := json.MarshalIndent(answer, "    ", "  ")
	if err != nil {
		return err
	}
	fmt.Printf("  %s:\n    %s\n", what, text)
	return nil
}

// tables asks the service's program for the checksums of all tables: they are
// not for the API to give away.
func tables(ctx context.Context, program string) (map[string]string, error) {
	command := exec.CommandContext(ctx, program, "verify", "--tables")
	command.Stderr = os.Stderr
	raw, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s verify --tables (say with -shuke where the program is): %w", program, err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if name, sum, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			out[name] = sum
		}
	}
	return out, nil
}

func differing(a, b map[string]string) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if a[name] != b[name] {
			out = append(out, name)
		}
	}
	return out
}
