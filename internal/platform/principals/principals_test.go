package principals

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

func TestForgedRecordInRedisIsNotBelieved(t *testing.T) {
	c, err := cache.New(t.Context(), pgtest.Redis(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	keys, clk := crypto.Generate(), clock.Fake(time.UTC, time.Now)
	s, other := New("one", c, clk, keys, slog.Default()), New("two", c, clk, keys, slog.Default())
	id, session := uuid.New(), uuid.New()
	loads := 0
	load := func(context.Context) (*Principal, error) {
		loads++
		return &Principal{Actor: auth.Actor{Kind: auth.KindStaff, ID: id, Name: "wang"}, Alive: true,
			Sessions: map[uuid.UUID]Session{session: {Expires: time.Now().Add(time.Hour)}}}, nil
	}
	actor, gone, err := s.OfSession(t.Context(), id, session, load)
	require.NoError(t, err)
	assert.False(t, gone)
	assert.Equal(t, session, actor.SessionID)

	sealed, _ := s.hot.Get(t.Context(), id)
	require.NotNil(t, sealed)
	assert.NotContains(t, string(sealed), "wang")
	assert.NotNil(t, s.open(id, sealed))
	assert.Nil(t, s.open(uuid.New(), sealed), "it holds for its owner only")
	assert.Nil(t, other.open(id, sealed), "and on its side of the API only")
	assert.Nil(t, s.open(id, []byte(`{"alive":true,"actor":{"scope":{"all":true}}}`)))

	actor, gone, err = s.OfSession(t.Context(), id, uuid.New(), load)
	require.NoError(t, err)
	assert.True(t, gone)
	assert.Empty(t, actor.Kind)
	assert.Equal(t, 2, loads, "a session that is not known is looked up once more")
}
