package publisher_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/publisher"
)

func TestAbbreviateCutsLongTextAtTheEdgeOfARune(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"e-1":                         "e-1",
		strings.Repeat("x", 64):       strings.Repeat("x", 64),
		strings.Repeat("x", 65):       strings.Repeat("x", 64) + "…",
		strings.Repeat("ü", 40):       strings.Repeat("ü", 32) + "…",
		strings.Repeat("€", 40):       strings.Repeat("€", 21) + "…",
		strings.Repeat("🛰", 40):       strings.Repeat("🛰", 16) + "…",
		"x" + strings.Repeat("🛰", 40): "x" + strings.Repeat("🛰", 15) + "…",
	} {
		assert.Equal(t, want, publisher.Abbreviate(text))
	}
	assert.Less(t, len(publisher.Abbreviate(strings.Repeat("\x80", 1000))), 70, "invalid UTF-8")
}

// Half a password looks like the name of a host.
func TestAbbreviateHidesThePasswordsThatItCuts(t *testing.T) {
	long := "redis://somebody:" + strings.Repeat("hunter2", 20) + "@host"
	assert.NotContains(t, publisher.Abbreviate(long), "hunter2")
	e := small("t-1", "")
	e.Data = map[string]any{"x": broken{errors.New(strings.Repeat(".", 400) + long)}}
	_, err := publisher.Structured.Encode(t.Context(), e, "")
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestErrorsQuoteLittle(t *testing.T) {
	const much = 1 << 20
	long := strings.Repeat("9", much)
	key := strings.Repeat("k", much)
	cyclic := map[string]any{}
	cyclic[key] = cyclic
	for name, data := range map[string]map[string]any{
		"a cycle":                 cyclic,
		"a number":                {"v": json.Number(long)},
		"a raw number":            {"v": json.RawMessage(long)},
		"an invalid number":       {"v": json.Number(key)},
		"a raw key that is twice": {"v": json.RawMessage(`{"` + key + `":1,"` + key + `":1}`)},
		"a key that is twice":     {key + "\xff": 1, key + "\xfe": 1},
		"a value":                 {key: make(chan int)},
		"a method's error":        {"v": broken{errors.New(key)}},
	} {
		t.Run(name, func(t *testing.T) {
			e := small("t-1", "")
			e.ID, e.Data = long, data
			_, err := publisher.Structured.Encode(t.Context(), e, "")
			requireShort(t, err)
			_, err = publish(t, publisher.Func(fail), e)
			requireShort(t, err)
		})
	}
	for name, body := range map[string]string{
		"a timestamp":   `{"event":"k","timestamp":` + long + `}`,
		"a wrong field": `{"event":"k","content":` + long + `}`,
		"a wrong id":    `{"event":"k","run_id":{"` + key + `":1}}`,
	} {
		t.Run("Decode of "+name, func(t *testing.T) {
			_, err := publisher.Decode(publisher.Message{Body: []byte(body)})
			requireShort(t, err)
		})
	}
}

func requireShort(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.Less(t, len(err.Error()), 10_000)
	require.True(t, publisher.IsPermanent(err))
}

func TestAShortenedErrorMatchesItsCause(t *testing.T) {
	cause := errors.New(strings.Repeat("x", 1000))
	e := small("t-1", "")
	e.Data = map[string]any{"v": broken{cause}}
	_, err := publisher.Structured.Encode(t.Context(), e, "")
	require.ErrorIs(t, err, cause)
	require.Less(t, len(err.Error()), 1000)
}
