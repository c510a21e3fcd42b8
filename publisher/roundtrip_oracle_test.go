package publisher_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The oracle of the round trip compares what was sent with what came back. It shares no code with
// the package: numbers are compared as fractions.

// requireSameJSON requires that got, which was decoded, has everything that JSON makes of sent.
func requireSameJSON(t *testing.T, sent, got any) {
	t.Helper()
	raw, err := json.Marshal(sent)
	require.NoError(t, err)
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var want any
	require.NoError(t, d.Decode(&want))
	raw2, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equal(t, colons(t, raw), colons(t, raw2), "keys")
	d = json.NewDecoder(bytes.NewReader(raw2))
	var back any
	require.NoError(t, d.Decode(&back))
	requireSameValue(t, want, back)
}

func requireSameValue(t *testing.T, want, got any) {
	t.Helper()
	switch w := want.(type) {
	case json.Number:
		require.IsType(t, 0.0, got)
		require.True(t, isSameNumber(w.String(), got.(float64)), "%.100s became %v", w, got)
	case map[string]any:
		require.IsType(t, w, got)
		require.Len(t, got, len(w))
		for k, v := range w {
			require.Contains(t, got, k)
			requireSameValue(t, v, got.(map[string]any)[k])
		}
	case []any:
		require.IsType(t, w, got)
		require.Len(t, got, len(w))
		for i, v := range w {
			requireSameValue(t, v, got.([]any)[i])
		}
	default:
		require.Equal(t, want, got)
	}
}

// isSameNumber reports whether f, printed with as many digits as the literal has, is the literal. The
// shortest text that reads as f counts as well.
func isSameNumber(literal string, f float64) bool {
	mantissa, _, _ := strings.Cut(strings.ToLower(literal), "e")
	digits := strings.Trim(strings.NewReplacer("-", "", ".", "").Replace(mantissa), "0")
	if digits == "" || f == 0 {
		return digits == "" && f == 0
	}
	want, ok := new(big.Rat).SetString(literal)
	for _, text := range []string{
		new(big.Float).SetFloat64(f).Text('e', len(digits)-1), strconv.FormatFloat(f, 'g', -1, 64),
	} {
		if got, _ := new(big.Rat).SetString(text); ok && got.Cmp(want) == 0 {
			return true
		}
	}
	return false
}

// colons returns how many keys the JSON has, counting a key that is there twice twice.
func colons(t *testing.T, raw []byte) (keys int) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var isKey []bool // of the objects and arrays that are open; in an array always false
	object := []bool{}
	for {
		token, err := d.Token()
		if err == io.EOF {
			return keys
		}
		require.NoError(t, err)
		top := len(object) - 1
		if top >= 0 && object[top] && token != json.Delim('}') {
			if isKey[top] {
				keys++
			}
			isKey[top] = !isKey[top]
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			object, isKey = append(object, token == json.Delim('{')), append(isKey, true)
		case json.Delim('}'), json.Delim(']'):
			object, isKey = object[:top], isKey[:top]
		}
	}
}
