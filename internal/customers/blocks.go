package customers

import (
	"context"
	"database/sql"
	"strconv"
	"sync"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Blocks of the name index.
//
// An inverted index hands out all rows with a token, in no order: of a million
// customers some thousands for a page of fifty. So customers are numbered as
// they arrive, blockSize of them make a block, and the tokens of a name are
// bound to the block: the newest hits are found by asking for the newest
// blocks, and a search looks at no more rows than it needs. It also cuts what
// the frequency of a token tells a thief of the database to one block.
//
// A search by name lists by block and id, newest first. That is the order of
// creation but for customers made at the same moment by two processes.

const (
	blockSize = 1 << 14
	// takeSize is how many numbers a process takes from the sequence at a time
	// (the increment of customer_arrivals). A process that rests keeps its last
	// ones, so a customer may be filed a block too early; it is found all the same.
	takeSize = 256
	// blocksAhead is how many blocks beyond the newest known one a search asks
	// for: others may have begun them since.
	blocksAhead = 2
)

// Tokens of a block share their upper bits, so that new rows touch neighbouring
// pages of the index. What is left of the hash tells four million terms apart;
// hits are compared with the name anyway.
const blockBits = 10

// blocks gives out numbers of arrival and knows the newest block.
type blocks struct {
	mu        sync.Mutex
	next, end int64 // numbers taken and not yet given out
	newest    int32 // block, as far as known
	read      time.Time
}

// take numbers n new customers and returns their block.
func (b *blocks) take(ctx context.Context, tx *db.Tx, n int) (int32, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(n) > b.end-b.next {
		// Numbers taken and given back by a rollback are gaps, which harm nobody.
		takes := (n + takeSize - 1) / takeSize
		var last int64
		if err := tx.QueryRow(ctx, "SELECT max(nextval('customer_arrivals')) FROM generate_series(1, $1)", takes).Scan(&last); err != nil {
			return 0, err
		}
		b.end = last + takeSize
		b.next = b.end - int64(takes)*takeSize
	}
	block := int32(b.next / blockSize)
	b.next += int64(n)
	b.newest = max(b.newest, block)
	return block, nil
}

// newestAge is how old the knowledge of the newest block may be. Until it has
// moved by blocksAhead blocks, which takes longer, every customer is found.
const newestAge = time.Second

// last is the newest block that may hold customers.
func (b *blocks) last(ctx context.Context, sqlDB *sql.DB) (int32, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.read) >= newestAge {
		var number int64
		if err := sqlDB.QueryRowContext(ctx, "SELECT last_value FROM customer_arrivals").Scan(&number); err != nil {
			return 0, err
		}
		b.newest, b.read = max(b.newest, int32(number/blockSize)), time.Now()
	}
	return b.newest + blocksAhead, nil
}

// nameTokens are the index values of a name's terms in a block. Rows from
// before there were blocks are in block 0, with tokens of their own form.
func nameTokens(keys *crypto.Keyring, block int32, terms []string) []int32 {
	if block == 0 {
		return pii.HashTokens(terms, func(t string) int32 { return keys.Token(tokenName, t) })
	}
	head := uint32(block) << (32 - blockBits)
	prefix := strconv.Itoa(int(block)) + ":"
	return pii.HashTokens(terms, func(t string) int32 {
		return int32(head | uint32(keys.Token(tokenName, prefix+t))>>blockBits)
	})
}
