package sms

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

// Limited sends at most so many messages a business day, over all replicas:
// whoever finds a way around the other limits cannot spend more than this.
//
// PostgreSQL counts. A counter in Redis would forget the day's messages when
// Redis is restarted or flushed, which is the very moment limits are tried;
// one row a day, touched once per message outside any transaction, costs
// nothing beside the call to the provider.
type Limited struct {
	next    Sender
	db      *db.DB
	clock   *clock.Clock
	limit   int
	log     *slog.Logger
	metrics *outgoing.Metrics
}

// NewLimited puts the ceiling before a sender; the limit is at least 1.
func NewLimited(next Sender, d *db.DB, c *clock.Clock, limit int, log *slog.Logger, m *outgoing.Metrics) *Limited {
	return &Limited{next: next, db: d, clock: c, limit: limit, log: log, metrics: m}
}

// giveBackWithin bounds the statement that returns a message to the budget.
const giveBackWithin = 2 * time.Second

// Send counts the message, then sends it. A message that was certainly not
// sent is given back; one with an unknown result stays counted.
// Errors: ErrDailyLimit, the sender's, and the database's (nothing is sent).
func (l *Limited) Send(ctx context.Context, m Message) (Receipt, error) {
	day := l.clock.Today()
	if err := l.take(ctx, day); err != nil {
		if ErrDailyLimit.Is(err) {
			l.metrics.Observe("sms", "daily_limit", outgoing.OutcomeLimited, 0)
		}
		return Receipt{}, err
	}
	receipt, err := l.next.Send(ctx, m)
	if err != nil && !ErrUnknown.Is(err) {
		l.giveBack(ctx, day)
	}
	return receipt, err
}

// take is one statement on the pool itself, never on a transaction that the
// caller may have open: the count stands even if that is rolled back, and the
// row is not locked while the provider is asked.
func (l *Limited) take(ctx context.Context, day clock.Day) error {
	var sent int
	err := l.db.QueryRow(ctx, `
		INSERT INTO sms_days AS d (day, sent) VALUES ($1, 1)
		ON CONFLICT (day) DO UPDATE SET sent = d.sent + 1 WHERE d.sent < $2
		RETURNING sent`, day.Time(), l.limit).Scan(&sent)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrDailyLimit.New()
	case err != nil:
		return fmt.Errorf("count a text message: %w", err)
	}
	if sent == l.limit || sent*10 == l.limit*8 {
		l.log.WarnContext(ctx, "text messages of the day", "sent", sent, "limit", l.limit)
	}
	return nil
}

func (l *Limited) giveBack(ctx context.Context, day clock.Day) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackWithin)
	defer cancel()
	if _, err := l.db.Exec(ctx, `UPDATE sms_days SET sent = sent - 1 WHERE day = $1 AND sent > 0`, day.Time()); err != nil {
		l.log.WarnContext(ctx, "a text message that was not sent stays counted", "error", err)
	}
}

// SentToday is how many messages are counted for the present business day.
func (l *Limited) SentToday(ctx context.Context) (int, error) {
	var sent int
	err := l.db.QueryRow(ctx, `SELECT coalesce(sum(sent), 0) FROM sms_days WHERE day = $1`, l.clock.Today().Time()).Scan(&sent)
	return sent, err
}
