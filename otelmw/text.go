package otelmw

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Limits in bytes.
const (
	longestText  = 4 << 10 // of one value
	longestStack = 32 << 10
)

// text makes s fit for a trace: valid UTF-8, which the protocol demands, and no longer than 4 KiB.
func text(s string) string {
	if len(s) <= longestText && utf8.ValidString(s) { // as nearly all text is
		return s
	}
	return cut(s, longestText)
}

func cut(s string, longest int) string {
	if whole := len(s); whole > longest {
		end := longest
		for end > longest-utf8.UTFMax && !utf8.RuneStart(s[end]) { // not within a rune
			end--
		}
		s = fmt.Sprintf("%s… (cut, %d bytes in all)", s[:end], whole)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func seconds(key attribute.Key, d time.Duration) attribute.KeyValue { return key.Float64(d.Seconds()) }

// hexIDs returns both ids of sc as they are written, in one allocation.
func hexIDs(sc trace.SpanContext) (traceID, spanID string) {
	t, s := sc.TraceID(), sc.SpanID()
	var text [2 * (len(t) + len(s))]byte
	hex.Encode(text[:], t[:])
	hex.Encode(text[2*len(t):], s[:])
	both := string(text[:])
	return both[:2*len(t)], both[2*len(t):]
}

// fit makes an attribute fit for a trace, as text does.
func fit(kv attribute.KeyValue) attribute.KeyValue {
	return attribute.KeyValue{Key: attribute.Key(text(string(kv.Key))), Value: fitValue(kv.Value)}
}

func fitValue(v attribute.Value) attribute.Value {
	switch v.Type() {
	case attribute.STRING:
		return attribute.StringValue(text(v.AsString()))
	case attribute.STRINGSLICE:
		return attribute.StringSliceValue(each(v.AsStringSlice(), text))
	case attribute.SLICE:
		return attribute.SliceValue(each(v.AsSlice(), fitValue)...)
	case attribute.MAP:
		return attribute.MapValue(each(v.AsMap(), fit)...)
	default:
		return v
	}
}

// each returns all with f applied to each. The accessors of a Value return copies.
func each[T any](all []T, f func(T) T) []T {
	for i := range all {
		all[i] = f(all[i])
	}
	return all
}
