package crypto

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// IndexSize is the length of an exact-match index value, in bytes: 128 bits, so two different
// values never meet in a table of any size.
const IndexSize = 16

// macPool reuses keyed HMAC states of one column: keying costs as much as hashing a short value.
type macPool struct{ pool sync.Pool }

type mac struct {
	h   hash.Hash
	sum [sha256.Size]byte
	in  []byte
}

func (s *state) column(kind, column string) *macPool {
	name := kind + column
	if p, ok := s.columns.Load(name); ok {
		return p.(*macPool)
	}
	key := s.index.derive("shuke/index/v1", kind, column)
	p := &macPool{}
	p.pool.New = func() any { return &mac{h: hmac.New(sha256.New, key[:])} }
	actual, _ := s.columns.LoadOrStore(name, p)
	return actual.(*macPool)
}

func (p *macPool) sum(value string, out []byte) {
	m := p.pool.Get().(*mac)
	m.h.Reset()
	m.in = append(m.in[:0], value...)
	m.h.Write(m.in)
	copy(out, m.h.Sum(m.sum[:0]))
	clear(m.in) // the pool keeps no plaintext
	p.pool.Put(m)
}

// Index is the blind index of a normalised value for unique exact look-ups: equal values of a
// column give equal bytes, different columns give unrelated ones.
func (k *Keyring) Index(column, value string) []byte {
	out := make([]byte, IndexSize)
	k.state.Load().column("i/", column).sum(value, out)
	return out
}

// Token is a search term's blind index, cut to 32 bits. Different terms may share one: a search
// opens and re-checks its candidates.
func (k *Keyring) Token(column, value string) int32 {
	var out [4]byte
	k.state.Load().column("t/", column).sum(value, out[:])
	return int32(binary.BigEndian.Uint32(out[:]))
}
