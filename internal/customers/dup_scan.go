package customers

import (
	"context"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/job"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/match"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Searching for duplicates among encrypted customers.
//
// What is compared is sealed, each row with a key of its own, so the database
// cannot bring similar rows together, and no index of similar names is kept for
// it: one would tell a thief of the database more than the search tokens do.
//
// A full search opens every customer once, in the order of ids, and keeps what
// comparisons need (package match) in the memory of the process: some 350 bytes
// for each customer, 32 more while a key is sorted, 64 for each likely pair.
// Nothing of it is written but pairs of ids with their score and reasons. One
// search runs at a time. When customers have come since the last one, it runs at
// night by itself.
//
// A new customer is compared at once with those born on the same day (the birth
// date is in clear) and those whose name has the same search tokens (blind
// indexes, blocks.go). Phones, e-mails and cards need no search: they are unique.
// A new customer with mistakes in both name and birth date is found by the next
// full search, and so are those who come in a flood.

const (
	jobScan  = "customers.duplicates.scan"
	scanLock = 0x64757073
	// scanBatch is how many customers are read, and pairs written, at a time.
	scanBatch = 2000
	// mostBornThatDay bounds the comparison with a date that stands for "unknown".
	mostBornThatDay = 200
	mostNamesakes   = 100
	// floodRate is how many new customers a second are left to the next full search.
	floodRate = 100
)

type scanParameters struct{}

// ScanResult is what the visible job reports.
type ScanResult struct {
	Customers int64   `json:"customers"`
	Compared  int64   `json:"compared_pairs"`
	Pairs     int64   `json:"pairs"`     // likely duplicates
	New       int64   `json:"new"`       // of them not known before
	Withdrawn int64   `json:"withdrawn"` // open pairs that are no longer likely
	Divided   int64   `json:"divided_blocks"`
	Sorted    int64   `json:"sorted_blocks"`
	Rate      float64 `json:"duplicates_per_customer"`
	// AutoMergeJobID is the job that merges what is likely enough, where that is
	// switched on.
	AutoMergeJobID *uuid.UUID `json:"auto_merge_job_id,omitempty"`
}

func (s *Service) registerScan(q *jobs.Queue) {
	jobs.RegisterVisible(q, jobScan, func(ctx context.Context, _ scanParameters, p *jobs.Progress) (any, error) {
		return s.scanDuplicates(ctx, p)
	})
	q.Every("customers.duplicates.nightly", jobs.DailyAt(s.clock, 3*time.Hour), s.scanNightly)
}

// scanNightly searches when there are customers no full search has seen.
func (s *Service) scanNightly(ctx context.Context) error {
	var due bool
	err := s.db.QueryRow(ctx, `SELECT coalesce((SELECT created_at FROM customers ORDER BY id DESC LIMIT 1)
	> coalesce((SELECT max(created_at) FROM jobs WHERE kind = $1 AND status <> 'failed' AND status <> 'cancelled'), '-infinity'), false)`, jobScan).Scan(&due)
	if err != nil || !due {
		return err
	}
	_, err = s.ScanDuplicates(auth.System(ctx, jobScan))
	if ErrScanRunning.Is(err) {
		return nil
	}
	return err
}

// ScanDuplicates starts the visible job that compares all customers.
// Errors: ErrScanRunning.
func (s *Service) ScanDuplicates(ctx context.Context) (*platform.Job, error) {
	var out *platform.Job
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(scanLock)); err != nil {
			return err
		}
		running, err := tx.Platform.Job.Query().Where(job.Kind(jobScan), job.StatusIn(job.StatusQueued, job.StatusRunning)).Exist(auth.System(ctx, jobScan))
		if err != nil {
			return err
		}
		if running {
			return ErrScanRunning.New()
		}
		if out, err = s.queue.StartVisible(ctx, tx, jobScan, scanParameters{}); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "customers.duplicate_scan", ObjectType: "job", ObjectID: out.ID.String()})
		return nil
	})
	return out, err
}

func (s *Service) scanDuplicates(ctx context.Context, p *jobs.Progress) (*ScanResult, error) {
	// The service lets its heap grow to five times what is alive, which is little
	// else; of what a search holds that would be gigabytes.
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	begun := s.clock.Now()
	var total int64
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM customers WHERE archived_at IS NULL").Scan(&total); err != nil {
		return nil, err
	}
	out := &ScanResult{}
	ids, people := make([]uuid.UUID, 0, total), make([]match.Person, 0, total)
	stats, common := match.NewStats(), match.Interner{}
	for after := uuid.Nil; ; {
		if p.Cancelled() {
			return out, jobs.ErrCancelled
		}
		batch, err := s.load(ctx, clause{"SELECT " + columns + " FROM customers c WHERE c.archived_at IS NULL AND c.id > ? ORDER BY c.id LIMIT " + itoa(scanBatch), []any{after}})
		if err != nil {
			return out, err
		}
		for i := range batch {
			one := prepare(&batch[i])
			common.Compact(&one)
			stats.Add(&one)
			ids, people = append(ids, batch[i].ID), append(people, one)
		}
		out.Customers += int64(len(batch))
		p.Set(out.Customers, 2*max(total, out.Customers))
		if len(batch) < scanBatch {
			break
		}
		after = batch[len(batch)-1].ID
	}

	searching, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // a search has no points of its own to ask at
		for searching.Err() == nil {
			if p.Cancelled() {
				stop()
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	pairs, report, err := match.Find(searching, people, stats, match.Threshold, func(part, of int64) {
		p.Set(out.Customers+part*out.Customers/max(1, of), 2*out.Customers)
	})
	out.Compared, out.Pairs, out.Divided, out.Sorted, out.Rate = report.Compared, int64(len(pairs)), report.Divided, report.Windowed, report.Rate
	switch {
	case p.Cancelled():
		return out, jobs.ErrCancelled
	case err != nil:
		return out, err
	}
	for len(pairs) > 0 {
		n := min(scanBatch, len(pairs))
		found := make([]foundPair, 0, n)
		for _, pair := range pairs[:n] {
			_, reasons := match.Explain(&people[pair.Left], &people[pair.Right], stats)
			found = append(found, foundPair{ids[pair.Left], ids[pair.Right], pair.Score, reasons})
		}
		pairs = pairs[n:]
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			fresh, err := s.savePairs(ctx, tx, found, begun)
			out.New += fresh
			return err
		})
		if err != nil {
			return out, err
		}
	}
	// What is still open from before and was not found again holds no longer; pairs
	// of merged customers are kept for undoing.
	withdrawn, err := s.db.Exec(ctx, `DELETE FROM duplicate_candidates d WHERE d.status = 'open' AND d.updated_at < $1
AND NOT EXISTS (SELECT FROM customers c WHERE c.id IN (d.left_id, d.right_id) AND c.merged_into_id IS NOT NULL)`, begun)
	if err != nil {
		return out, err
	}
	if out.Withdrawn, err = withdrawn.RowsAffected(); err != nil {
		return out, err
	}
	out.AutoMergeJobID, err = s.mergeAfterSearch(ctx)
	return out, err
}

// prepare is what of a customer is compared. The number in an outside system is
// left out: whoever is entered twice has two.
func prepare(c *Customer) match.Person {
	r := match.Record{Name: c.Name, Gender: c.Gender}
	if c.BirthDate != nil {
		r.BirthDate = c.BirthDate.Format(time.DateOnly)
	}
	if c.Phone != "" {
		r.Phones = []string{c.Phone}
	}
	if c.Email != "" {
		r.Emails = []string{c.Email}
	}
	if c.Card != "" {
		r.IDs = append(r.IDs, match.ID{Kind: "card", Value: c.Card})
	}
	for name, v := range c.CustomFields {
		if text := identifierOf(v); text != "" {
			r.IDs = append(r.IDs, match.ID{Kind: "custom:" + name, Value: text})
		}
	}
	if a := c.Address; a != nil {
		place := a.City
		if a.District != "" {
			place += " " + a.District
		}
		r.Address = match.Address{Line1: a.Line1, Line2: a.Line2, Place: place, Postcode: a.PostalCode, Region: a.Region}
	}
	return match.Prepare(r)
}

// identifierOf is a custom value that looks like a number given by somebody: at
// least seven letters and digits, of them six digits, and not a date.
func identifierOf(v any) string {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return ""
	}
	if len(text) > 40 {
		return ""
	}
	if _, err := time.Parse(time.DateOnly, strings.TrimSpace(text)); err == nil {
		return ""
	}
	digits, all := 0, 0
	for _, r := range text {
		switch {
		case unicode.IsDigit(r):
			digits++
			all++
		case unicode.IsLetter(r):
			all++
		}
	}
	if digits < 6 || all < 7 {
		return ""
	}
	return text
}

func appendFloat(to []byte, f float64) []byte { return strconv.AppendFloat(to, f, 'g', -1, 64) }

// Subscribe has new customers compared with those there are, after the commit
// that made them. A flood of them, from an import or in bulk, would keep a
// processor busy that others wait for; it is left to the full search, which
// opens everybody once.
func (s *Service) Subscribe(d *events.Dispatcher) {
	var lately rate
	d.Subscribe("customers.duplicates", []string{EventCreated}, func(ctx context.Context, all []events.Stored) error {
		if lately.add(time.Now(), len(all)) >= floodRate {
			return nil
		}
		ids := make([]uuid.UUID, len(all))
		for i, e := range all {
			ids[i] = e.SubjectID
		}
		return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := s.checkNew(ctx, tx, ids, true)
			return err
		})
	})
}

// rate counts what came in this second and the one before. Events are
// delivered one batch after the other, so it needs no lock.
type rate struct {
	second       int64
	before, this int
}

// add counts n more and returns the greater of both seconds' numbers.
func (r *rate) add(now time.Time, n int) int {
	switch second := now.Unix(); {
	case second == r.second+1:
		r.second, r.before, r.this = second, r.this, 0
	case second != r.second:
		r.second, r.before, r.this = second, 0, 0
	}
	r.this += n
	return max(r.before, r.this)
}

// checkNew compares new customers with those that share a birth date or a name,
// and tells how many pairs are new in the queue. If asked, it has those merged
// that need no person.
func (s *Service) checkNew(ctx context.Context, tx *db.Tx, ids []uuid.UUID, merge bool) (int64, error) {
	fresh, err := s.load(ctx, clause{"SELECT " + columns + " FROM customers c WHERE c.id = ANY(?::uuid[]) AND c.archived_at IS NULL", []any{pgarray.UUIDs(ids)}})
	if err != nil || len(fresh) == 0 {
		return 0, err
	}
	last, err := s.blocks.last(ctx, s.db.SQL)
	if err != nil {
		return 0, err
	}
	stats := match.Usual(int64(last-blocksAhead+1) * blockSize)
	var days column
	seen := map[time.Time]bool{}
	for i := range fresh {
		if d := fresh[i].BirthDate; d != nil && !seen[*d] {
			seen[*d] = true
			days.time(d, time.DateOnly)
		}
	}
	born := map[string][]candidatePerson{}
	if len(seen) > 0 {
		same, err := s.load(ctx, clause{"SELECT " + columns + ` FROM unnest(?::date[]) AS d (day) CROSS JOIN LATERAL (SELECT * FROM customers x
WHERE x.birth_date = d.day AND x.archived_at IS NULL ORDER BY x.id DESC LIMIT ` + itoa(mostBornThatDay) + ") c", []any{days.String()}})
		if err != nil {
			return 0, err
		}
		for i := range same {
			day := same[i].BirthDate.Format(time.DateOnly)
			born[day] = append(born[day], candidatePerson{same[i].ID, prepare(&same[i])})
		}
	}
	var found []foundPair
	for i := range fresh {
		c := &fresh[i]
		person := prepare(c)
		var others []candidatePerson
		if c.BirthDate != nil {
			others = born[c.BirthDate.Format(time.DateOnly)]
		}
		more, err := s.namesakes(ctx, c, last)
		if err != nil {
			return 0, err
		}
		others = append(others[:len(others):len(others)], more...)
		compared := map[uuid.UUID]bool{c.ID: true}
		for j := range others {
			other := &others[j]
			if compared[other.id] {
				continue
			}
			compared[other.id] = true
			if score := match.Score(&person, &other.Person, stats); score >= match.Threshold {
				// From the lower id on, so that the pair is written the same either way.
				_, reasons := match.Explain(&person, &other.Person, stats)
				found = append(found, foundPair{c.ID, other.id, score, reasons})
			}
		}
	}
	found = distinctPairs(found)
	n, err := s.savePairs(ctx, tx, found, s.clock.Now())
	if err != nil || !merge {
		return n, err
	}
	return n, s.mergeAfterComparison(ctx, tx, ids, found)
}

type candidatePerson struct {
	id uuid.UUID
	match.Person
}

// distinctPairs keeps one of each pair: two new customers find each other.
func distinctPairs(all []foundPair) []foundPair {
	seen := map[[2]uuid.UUID]bool{}
	out := all[:0]
	for _, p := range all {
		if compareIDs(p.left, p.right) > 0 {
			p.left, p.right = p.right, p.left
		}
		if key := [2]uuid.UUID{p.left, p.right}; !seen[key] {
			seen[key] = true
			out = append(out, p)
		}
	}
	return out
}

// namesakes are customers whose name contains this one, by its search tokens.
func (s *Service) namesakes(ctx context.Context, c *Customer, last int32) ([]candidatePerson, error) {
	terms, _, err := pii.QueryTokens(c.Name)
	if err != nil {
		return nil, nil // no name, or a single letter: nothing to search by
	}
	q := &query{where: clause{sql: "c.archived_at IS NULL"}, scope: auth.Scope{All: true}, terms: terms}
	e, err := s.expect(ctx, q, last)
	if err != nil {
		return nil, err
	}
	found, _, err := s.fromBlocks(ctx, q, e, mostNamesakes)
	if err != nil {
		return nil, err
	}
	out := make([]candidatePerson, len(found))
	for i := range found {
		out[i] = candidatePerson{found[i].ID, prepare(&found[i].Customer)}
	}
	return out, nil
}
