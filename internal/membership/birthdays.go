package membership

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/points"
)

// birthdaysBack is for how many days a birthday is still made up for when nobody
// was there to see to it.
const birthdaysBack = 31

// birthdayBatch is how many gifts one transaction gives: each is an operation of
// its own on the points of a member.
const birthdayBatch = 100

// celebrated is a birthday within the last days: people born on a day of a month
// (as 100 times the month and the day) have it on a business day.
type celebrated struct {
	born int64
	on   clock.Day
}

// celebrations are the birthdays of the days up to today. Who was born on 29
// February has theirs on 28 February in other years.
func celebrations(today clock.Day, back int) []celebrated {
	var out []celebrated
	for d := today - clock.Day(back) + 1; d <= today; d++ {
		t := d.Time()
		out = append(out, celebrated{int64(t.Month())*100 + int64(t.Day()), d})
		if t.Month() == time.February && t.Day() == 28 && (d+1).Time().Month() == time.March {
			out = append(out, celebrated{229, d})
		}
	}
	return out
}

// birthdaysSQL finds members of a tier who had their birthday while they were in
// it, and have not been given for it.
// Plan: customers_tier_idx, memberships_customer_key, points_entries_source_key.
const birthdaysSQL = `SELECT c.id, d.born, d.year, d.starts FROM customers c
JOIN memberships m ON m.customer_id = c.id
JOIN unnest($3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[]) AS d (born, year, starts, ends) ON d.born = extract(month FROM c.birth_date) * 100 + extract(day FROM c.birth_date)
WHERE c.tier_code = $1 AND c.id > $2 AND c.archived_at IS NULL AND c.merged_into_id IS NULL AND m.since_at < d.ends
  AND NOT EXISTS (SELECT FROM points_entries e WHERE e.source_key = 'birthday:' || c.id || ':' || d.year)
ORDER BY c.id LIMIT $7 FOR NO KEY UPDATE OF c`

// Birthdays gives members the points that their tier has for birthdays, and says
// to how many. Each is given once for a year, whatever happens.
func (s *Service) Birthdays(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "membership.birthdays")
	scheme, err := s.inForceNow(ctx, s.db.Clients)
	if err != nil || scheme == nil {
		return 0, err
	}
	var born, years []int64
	var starts, ends []time.Time
	for _, b := range celebrations(s.clock.Today(), birthdaysBack) {
		born, years = append(born, b.born), append(years, int64(b.on.Time().Year()))
		starts, ends = append(starts, s.clock.Start(b.on)), append(ends, s.clock.Start(b.on+1))
	}
	for i := range scheme.Tiers {
		t := &scheme.Tiers[i]
		if t.Benefits.BirthdayGift == nil {
			continue
		}
		for after, more := uuid.Nil, true; more; {
			var of []uuid.UUID
			given := 0
			err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
				rows, err := tx.Query(ctx, birthdaysSQL, t.Code, after, pq.Array(born), pq.Array(years), pq.Array(starts), pq.Array(ends), birthdayBatch)
				if err != nil {
					return err
				}
				defer rows.Close()
				var gifts []points.Grant
				for rows.Next() {
					g := points.Grant{Unit: t.Benefits.BirthdayGift.Unit, Points: t.Benefits.BirthdayGift.Points, AtOnce: true, Reason: "生日礼物"}
					var day int64
					var year string
					if err := rows.Scan(&g.CustomerID, &day, &year, &g.EarnedAt); err != nil {
						return err
					}
					g.SourceKey = "birthday:" + g.CustomerID.String() + ":" + year
					gifts = append(gifts, g)
				}
				if err := rows.Err(); err != nil {
					return err
				}
				_ = rows.Close()
				of, given = make([]uuid.UUID, len(gifts)), 0
				for i, g := range gifts {
					of[i] = g.CustomerID
					done, err := s.points.Give(ctx, tx, g)
					if err != nil {
						return err
					}
					if done {
						given++
					}
				}
				return s.Mark(ctx, tx, of...)
			})
			if err != nil {
				return n, err
			}
			n += given
			if more = len(of) == birthdayBatch; more {
				after = of[len(of)-1]
			}
		}
	}
	return n, nil
}
