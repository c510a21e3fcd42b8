package otelmw

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
)

// The attributes of afterspan. The whole of afterspan.* is ours: what comes from elsewhere under such a key is dropped.
const (
	ourPrefix = "afterspan."

	taskNameKey       = attribute.Key("afterspan.task.name")
	taskIDKey         = attribute.Key("afterspan.task.id")
	taskTimeoutKey    = attribute.Key("afterspan.task.timeout")
	taskQueueTimeKey  = attribute.Key("afterspan.task.queue_time")
	taskAttemptKey    = attribute.Key("afterspan.task.attempt")
	taskOutcomeKey    = attribute.Key("afterspan.task.outcome")
	taskStateKey      = attribute.Key("afterspan.task.state")
	spawnerTraceIDKey = attribute.Key("afterspan.spawner.trace_id")
	spawnerSpanIDKey  = attribute.Key("afterspan.spawner.span_id")
	managerNameKey    = attribute.Key("afterspan.manager.name")
)

const (
	mostAttributes = 126     // at the start: the SDK's default limit is 128, and two more come at the end
	longestText    = 4 << 10 // bytes of one value
	longestStack   = 32 << 10
)

// attributes are those of one span, each key once.
type attributes []attribute.KeyValue

// set adds kv in place of what was there under its key.
func (a *attributes) set(kv attribute.KeyValue) {
	if i := a.index(kv.Key); i >= 0 {
		(*a)[i] = kv
		return
	}
	a.append(kv)
}

// add adds kv unless its key is there.
func (a *attributes) add(kv attribute.KeyValue) {
	if a.index(kv.Key) < 0 {
		a.append(kv)
	}
}

func (a *attributes) append(kv attribute.KeyValue) {
	if kv.Valid() && len(*a) < mostAttributes {
		*a = append(*a, kv)
	}
}

func (a *attributes) index(key attribute.Key) int {
	for i := range *a {
		if (*a)[i].Key == key {
			return i
		}
	}
	return -1
}

// addForeign adds what users and baggage say, but for afterspan.* keys.
func (a *attributes) addForeign(kvs ...attribute.KeyValue) {
	for _, kv := range kvs {
		if !isOurs(string(kv.Key)) {
			a.add(fit(kv))
		}
	}
}

// foreign returns what addForeign makes of kvs, for those that are the same for all tasks.
func foreign(kvs []attribute.KeyValue) (fitted []attribute.KeyValue) {
	for _, kv := range kvs {
		if !isOurs(string(kv.Key)) {
			fitted = append(fitted, fit(kv))
		}
	}
	return fitted
}

// fit makes what comes as an attribute fit for a trace, as text does.
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

func isOurs(key string) bool { return strings.HasPrefix(key, ourPrefix) }

// addTask adds the task's own attributes.
func (mw *middleware) addTask(a *attributes, own []slog.Attr) {
	var replace func(slog.Attr) slog.Attr // nil where nobody asked for it, and then each is gone through once
	if mw.replaceAttr != nil {
		replace = mw.replace
	}
	for _, attr := range own {
		flatten(a, "", attr, replace)
	}
}

// flatten adds what replace makes of attr, with prefix before its key, and of the members of a group each by itself.
// With a nil replace it adds them as they are.
func flatten(a *attributes, prefix string, attr slog.Attr, replace func(slog.Attr) slog.Attr) {
	if attr.Key == "" && attr.Equal(slog.Attr{}) { // handlers ignore it, too
		return
	}
	if prefix != "" {
		attr.Key = prefix + attr.Key
	}
	if attr.Value.Kind() == slog.KindLogValuer {
		attr.Value = attr.Value.Resolve()
	}
	if attr.Value.Kind() == slog.KindGroup {
		if attr.Key != prefix { // a group without a name has its members in the one around it
			prefix = attr.Key + "."
		}
		for _, member := range attr.Value.Group() {
			flatten(a, prefix, member, replace)
		}
		return
	}
	switch {
	case isOurs(attr.Key):
	case replace == nil:
		a.set(attribute.KeyValue{Key: attribute.Key(text(attr.Key)), Value: value(attr.Value)})
	default: // which may make a group of it
		if attr = replace(attr); attr.Key != "" {
			flatten(a, "", attr, nil)
		}
	}
}

// replace returns what the user's callback makes of attr: nothing, if it panics.
func (mw *middleware) replace(attr slog.Attr) (replaced slog.Attr) {
	defer contain("the callback of WithReplaceAttr")
	return mw.replaceAttr(attr)
}

// addOptional adds what the options ask for beside the task's own attributes.
func (mw *middleware) addOptional(ctx context.Context, a *attributes, t *core.Task) {
	for _, f := range mw.attributesFuncs {
		a.addForeign(callForAttributes(ctx, t, f, "the callback of WithAttributesFunc")...)
	}
	if len(mw.baggageKeys) > 0 {
		members := baggage.FromContext(ctx)
		for _, key := range mw.baggageKeys {
			if m := members.Member(key); m.Key() != "" {
				a.addForeign(attribute.String(key, m.Value()))
			}
		}
	}
	for _, kv := range mw.attributes {
		a.add(kv)
	}
}

func callForAttributes(
	ctx context.Context, t *core.Task, f func(context.Context, *core.Task) []attribute.KeyValue, what string,
) []attribute.KeyValue {
	defer contain(what)
	return f(ctx, t)
}

// value returns v, which is resolved, as an attribute's value. Strings, ints, bools and floats keep their types.
func value(v slog.Value) attribute.Value {
	switch v.Kind() {
	case slog.KindString:
		return attribute.StringValue(text(v.String()))
	case slog.KindInt64:
		return attribute.Int64Value(v.Int64())
	case slog.KindUint64:
		if n := v.Uint64(); n <= math.MaxInt64 {
			return attribute.Int64Value(int64(n))
		}
	case slog.KindFloat64:
		return attribute.Float64Value(v.Float64())
	case slog.KindBool:
		return attribute.BoolValue(v.Bool())
	case slog.KindTime:
		return attribute.StringValue(v.Time().Format(time.RFC3339Nano))
	}
	return attribute.StringValue(text(fmt.Sprint(v.Any()))) // fmt contains the panics of String and Error
}

// text makes s fit for a trace: valid UTF-8, which the protocol demands, and no longer than is of use.
func text(s string) string {
	if len(s) <= longestText && utf8.ValidString(s) { // as nearly all is, and then this is quicker
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
