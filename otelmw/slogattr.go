package otelmw

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// The task's own attributes are those of package slog. Here they become attributes of OpenTelemetry.

// addTask adds the task's own attributes.
func (mw *middleware) addTask(a *attributes, own []slog.Attr) {
	var replace func(slog.Attr) slog.Attr
	if mw.replaceAttr != nil {
		replace = mw.replace
	}
	for _, attr := range own {
		flatten(a, "", attr, replace)
	}
}

// flatten adds attr with prefix before its key. Of a group it adds each member by itself. If
// replace is not nil, it adds what replace returns for each.
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

// value returns v, which is resolved, as an attribute's value. Strings, ints, bools and floats keep
// their types.
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
	return attribute.StringValue(text(anyText(v.Any())))
}

// anyText returns errors, Stringers, basic kinds and slices of these as package fmt prints them, and
// everything else as JSON: fmt follows a value that contains itself until the process ends.
func anyText(v any) string {
	switch v.(type) {
	case error, fmt.Stringer:
		return fmt.Sprint(v) // which contains the panics of their methods
	}
	t := reflect.TypeOf(v)
	if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		t = t.Elem()
	}
	if t == nil || isBasic(t.Kind()) {
		return fmt.Sprint(v)
	}
	return jsonText(v)
}

// isBasic reports whether values of kind contain no others.
func isBasic(kind reflect.Kind) bool { return kind <= reflect.Complex128 || kind == reflect.String }

func jsonText(v any) (text string) {
	defer func() {
		if recover() != nil { // in a method of v's
			text = fmt.Sprintf("%T", v)
		}
	}()
	encoded, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	return string(encoded)
}
