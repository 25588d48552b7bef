// Package password hashes and checks staff passwords with argon2id, and holds the policy for new
// ones. Memory is bounded: at most as many hashes run at once as there are cores, each with 19 MiB.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Parameters of new hashes: the minimum of the OWASP password storage cheat sheet for argon2id.
// Verify asks for a rehash when a stored hash has others.
const (
	memoryKiB   = 19 * 1024
	iterations  = 2
	parallelism = 1
	saltLen     = 16
	hashLen     = 32
)

// Bounds on stored parameters: a forged or damaged row must not take the machine's memory.
const (
	maxMemoryKiB   = 256 * 1024
	maxIterations  = 16
	maxParallelism = 16
)

// ErrHash: the stored text is no argon2id PHC string within the bounds.
var ErrHash = errors.New("password: not an acceptable argon2id hash")

// slots bounds the hashes computed at once; waiting costs nothing and ends with the caller's context.
var slots = make(chan struct{}, runtime.GOMAXPROCS(0))

type params struct {
	memory, time uint32
	threads      uint8
	salt, hash   []byte
}

// dummy is what Dummy compares with; nothing hashes to it.
var dummy = params{memoryKiB, iterations, parallelism, make([]byte, saltLen), make([]byte, hashLen)}

// Hash makes a PHC string of a new password. It does not check the policy. Error: the context's.
func Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLen)
	rand.Read(salt) // never fails
	p := params{memory: memoryKiB, time: iterations, threads: parallelism, salt: salt, hash: make([]byte, hashLen)}
	sum, err := p.sum(ctx, password)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// Verify compares a password with a stored hash in constant time. NeedsRehash, set only with ok,
// tells that the hash was made with other parameters than today's: store Hash(password) anew.
// Errors: ErrHash, or the context's while waiting for a slot.
func Verify(ctx context.Context, phc, password string) (ok, needsRehash bool, err error) {
	p, err := parse(phc)
	if err != nil {
		return false, false, err
	}
	sum, err := p.sum(ctx, password)
	if err != nil {
		return false, false, err
	}
	if subtle.ConstantTimeCompare(sum, p.hash) != 1 {
		return false, false, nil
	}
	current := p.memory == memoryKiB && p.time == iterations && p.threads == parallelism && len(p.salt) == saltLen && len(p.hash) == hashLen
	return true, !current, nil
}

// Dummy costs as much as Verify and never succeeds. Sign-in calls it for unknown users, so that
// the time taken does not tell who exists. Error: the context's.
func Dummy(ctx context.Context, password string) error {
	sum, err := dummy.sum(ctx, password)
	if err == nil {
		subtle.ConstantTimeCompare(sum, dummy.hash)
	}
	return err
}

func (p params) sum(ctx context.Context, password string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // select would take a free slot half the time
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey(normal(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.hash))), nil
}

// normal makes one password of what two keyboards send for one text (é as one or two code points).
func normal(password string) []byte { return norm.NFC.Bytes([]byte(password)) }

func parse(phc string) (params, error) {
	fields := strings.Split(phc, "$")
	if len(phc) > 512 || len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return params{}, ErrHash
	}
	var p params
	if n, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil || n != 3 ||
		fields[3] != fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.time, p.threads) {
		return params{}, ErrHash
	}
	if p.memory < 8*uint32(p.threads) || p.memory > maxMemoryKiB || p.time < 1 || p.time > maxIterations || p.threads < 1 || p.threads > maxParallelism {
		return params{}, ErrHash
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.Strict().DecodeString(fields[4]); err != nil || len(p.salt) < 8 || len(p.salt) > 64 {
		return params{}, ErrHash
	}
	if p.hash, err = base64.RawStdEncoding.Strict().DecodeString(fields[5]); err != nil || len(p.hash) < 16 || len(p.hash) > 64 {
		return params{}, ErrHash
	}
	return p, nil
}
