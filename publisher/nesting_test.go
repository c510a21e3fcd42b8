package publisher_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

type (
	chain struct{ Next *chain }
	list  []list
	boxed struct{ Next any }
	// guarded has a cycle that package json does not read, since it does not marshal these fields.
	guarded struct {
		Name   string
		self   *guarded
		Hidden *guarded `json:"-"`
		mu     *sync.Mutex
	}
	// ring marshals itself, also as a field whose address is known.
	ring       struct{ Inside map[string]any }
	ringHolder struct{ Ring ring }
)

func (*ring) MarshalJSON() ([]byte, error) { return []byte(`"ring"`), nil }

// levelsOf returns values with that many levels.
func levelsOf(levels int) map[string]any {
	var native, object, pointer any
	var linked *chain
	var own list
	for range levels {
		native, object = []any{native}, map[string]any{"k": object}
		hop := pointer
		pointer = &hop
		linked, own = &chain{linked}, list{own}
	}
	return map[string]any{
		"[]any": native, "map[string]any": object, "pointers to interfaces": pointer,
		"structs": linked, "a slice of its own": own, "in a struct": boxed{Next: native}, "in a slice": []chain{{linked}},
	}
}

// A stack overflow ends the process, and recover does not help.
func TestDataThatWouldOverflowTheStackIsRefused(t *testing.T) {
	for name, value := range levelsOf(1_000_000) {
		t.Run(name, func(t *testing.T) {
			for _, e := range []publisher.Event{
				{Data: map[string]any{"v": value}},
				{Metadata: map[string]any{"v": value}},
				{ContentBlocks: []map[string]any{{"v": value}}},
			} {
				e.Kind, e.Type = "k", "t"
				_, err := publish(t, publisher.Func(fail), e)
				requireTooDeep(t, err)
				_, err = publisher.Structured.Encode(t.Context(), e, "")
				requireTooDeep(t, err)
				requireTooDeep(t, publisher.Slog(slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil))).Publish(t.Context(), e))
				requireTooDeep(t, publisher.Console(&bytes.Buffer{}).Publish(t.Context(), e))
				_, err = json.Marshal(e)
				require.ErrorContains(t, err, "more than 498 levels")
			}
		})
	}
}

func requireTooDeep(t *testing.T, err error) {
	t.Helper()
	require.ErrorContains(t, err, "more than 498 levels")
	require.True(t, publisher.IsPermanent(err))
}

func TestDataWithinTheLimitIsEncoded(t *testing.T) {
	for name, value := range levelsOf(490) {
		e := small("t-1", "")
		e.Data = map[string]any{"v": value}
		_, err := publisher.Structured.Encode(t.Context(), e, "")
		assert.NoError(t, err, name)
	}
}

func TestOnlyTheWayOfPackageJSONIsFollowed(t *testing.T) {
	secret := &guarded{Name: "x", mu: &sync.Mutex{}}
	secret.self, secret.Hidden = secret, secret
	round := &ring{Inside: map[string]any{}}
	round.Inside["self"] = round.Inside
	e := small("t-1", "")
	e.Data = map[string]any{"guarded": secret, "ring": round, "field": &ringHolder{*round}}
	m, err := publisher.Plain.Encode(t.Context(), e, "")
	require.NoError(t, err)
	got, err := publisher.Decode(m)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"guarded": map[string]any{"Name": "x"}, "ring": "ring", "field": map[string]any{"Ring": "ring"},
	}, got.Data)
}
