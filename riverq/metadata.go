package riverq

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterspan/afterspan/core"
	"github.com/afterspan/afterspan/otelmw"
)

// The metadata of a job is a JSON object of its row. At its top level are traceparent, tracestate
// and baggage, where other software that knows W3C Trace Context looks for them, and the fields
// that only otelmw reads. The attributes are in an object of our own.
const attrsPath = "afterspan.attrs"

// maxAttrs limits the attributes in the metadata, in bytes of JSON. When they are read they may be
// larger: PostgreSQL puts spaces between the values.
const (
	maxAttrs     = 8 << 10
	maxAttrsRead = 2 * maxAttrs
)

// A carrier is the metadata of one job. It implements [propagation.TextMapCarrier].
type carrier struct {
	json []byte
}

// Get returns the string under key, or "" if there is none.
func (c *carrier) Get(key string) string {
	if v := gjson.GetBytes(c.json, gjson.Escape(key)); v.Type == gjson.String {
		return v.Str
	}
	return ""
}

// Set stores value under key.
func (c *carrier) Set(key, value string) {
	if changed, err := sjson.SetBytes(c.json, gjson.Escape(key), value); err == nil {
		c.json = changed
	}
}

// remove removes key.
func (c *carrier) remove(key string) {
	if changed, err := sjson.DeleteBytes(c.json, gjson.Escape(key)); err == nil {
		c.json = changed
	}
}

// Keys returns the keys that hold text.
func (c *carrier) Keys() (keys []string) {
	gjson.ParseBytes(c.json).ForEach(func(key, value gjson.Result) bool {
		if value.Type == gjson.String {
			keys = append(keys, key.Str)
		}
		return true
	})
	return keys
}

// isObject reports whether something can be added to the metadata. If it is not valid JSON, River
// or the database will say so.
func (c *carrier) isObject() bool {
	return gjson.ValidBytes(c.json) && gjson.ParseBytes(c.json).IsObject()
}

// inject returns metadata with the trace of ctx and the attributes of t added. ctx is what the
// Spawns of t returned. metadata itself is not changed: other jobs may share it.
func (o *options) inject(ctx context.Context, t *core.Task, metadata []byte) []byte {
	if len(metadata) == 0 {
		metadata = []byte("{}")
	}
	c := &carrier{metadata}
	if !c.isObject() {
		return metadata
	}
	c.remove("tracestate") // it belongs to a traceparent that was missing, or not valid
	otelmw.Inject(ctx, t, c)
	if o.baggage {
		propagation.Baggage{}.Inject(ctx, c)
	}
	c.setAttrs(t)
	return c.json
}

// setAttrs stores the attributes of t.
func (c *carrier) setAttrs(t *core.Task) {
	attrs := encodeAttrs(t)
	if attrs == "" {
		return
	}
	if changed, err := sjson.SetRawBytes(c.json, attrsPath, []byte(attrs)); err == nil {
		c.json = changed
	}
}

// hasTrace reports whether the metadata has a valid trace, whoever put it there.
func hasTrace(metadata []byte) bool {
	c := &carrier{metadata}
	if !c.isObject() {
		return false
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), c)
	return trace.SpanContextFromContext(ctx).IsValid()
}

// addAttrsOf returns metadata with the attributes that a task started with ctx would have, unless
// it has attributes already.
func addAttrsOf(ctx context.Context, metadata []byte) []byte {
	if gjson.GetBytes(metadata, attrsPath).Exists() {
		return metadata
	}
	t := core.NewTask("")
	_, _ = core.NewChain().Spawn(ctx, t) // no hooks: it only gives t the attributes
	c := &carrier{metadata}
	c.setAttrs(t)
	return c.json
}

// extract returns ctx with what inject stored.
func (o *options) extract(ctx context.Context, metadata []byte) context.Context {
	c := &carrier{metadata}
	if !c.isObject() {
		return withoutEndedSpan(ctx)
	}
	if isPeriodic(metadata) {
		ctx = withoutSpan(ctx)
	}
	ctx = withoutEndedSpan(ctx)
	ctx = otelmw.Extract(ctx, c)
	if o.baggage {
		ctx = propagation.Baggage{}.Extract(ctx, c)
	}
	if attrs := storedAttrs(metadata); len(attrs) > 0 {
		ctx = core.ContextWithAttrs(ctx, attrs...)
	}
	return ctx
}

// encodeAttrs returns the attributes of t as a JSON object, or "" if there are none. LogValuers are
// resolved. Attributes that do not fit into maxAttrs are left out.
func encodeAttrs(t *core.Task) string {
	if len(t.Attrs()) == 0 {
		return ""
	}
	info, err := json.Marshal(t.Info())
	if err != nil {
		return ""
	}
	info = bytes.ToValidUTF8(info, []byte("\uFFFD"))
	var kept strings.Builder
	gjson.GetBytes(info, "context").ForEach(func(key, value gjson.Result) bool {
		if member := storable(key) + ":" + storable(value); kept.Len()+len(member) < maxAttrs {
			kept.WriteString("," + member)
		}
		return true
	})
	if kept.Len() == 0 {
		return ""
	}
	return "{" + kept.String()[1:] + "}"
}

// storable returns v as JSON that a jsonb column takes: an attribute must not make an insert fail.
// NUL and halves of surrogate pairs become U+FFFD, and numbers that are no float64 become null.
func storable(v gjson.Result) string {
	switch {
	case v.Type == gjson.String:
		return storableText(v)
	case v.Type == gjson.Number:
		return storableNumber(v)
	case v.IsObject(), v.IsArray():
		return storableMembers(v)
	default:
		return v.Raw
	}
}

func storableNumber(v gjson.Result) string {
	switch {
	case math.IsInf(v.Num, 0):
		return "null"
	case v.Num == 0: // it may have an exponent that is too small
		return "0"
	default:
		return v.Raw
	}
}

func storableText(v gjson.Result) string {
	if !strings.Contains(v.Raw, `\u`) {
		return v.Raw
	}
	text, err := json.Marshal(strings.ReplaceAll(v.Str, "\x00", "\uFFFD"))
	if err != nil {
		return `""`
	}
	return string(text)
}

func storableMembers(v gjson.Result) string {
	var members []string
	v.ForEach(func(key, value gjson.Result) bool {
		if v.IsObject() {
			members = append(members, storable(key)+":"+storable(value))
		} else {
			members = append(members, storable(value))
		}
		return true
	})
	if v.IsObject() {
		return "{" + strings.Join(members, ",") + "}"
	}
	return "[" + strings.Join(members, ",") + "]"
}

// withoutEndedSpan returns ctx without its span if that has ended: it is a span of the context
// given to Start, of which a job without a trace is no part. A span that a middleware outside, such
// as otelriver's, began for the job still records, or is not sampled.
func withoutEndedSpan(ctx context.Context) context.Context {
	span := trace.SpanFromContext(ctx)
	sc := span.SpanContext()
	if !sc.IsSampled() || sc.IsRemote() || span.IsRecording() {
		return ctx
	}
	return withoutSpan(ctx)
}

func withoutSpan(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.SpanContext{})
}

// isPeriodic reports whether River inserts the job by its schedule. It does so with the context
// given to Start, so a span of that context did not spawn the job.
func isPeriodic(metadata []byte) bool { return gjson.GetBytes(metadata, "periodic").Bool() }

// storedAttrs returns the attributes in the metadata. If they are too large, a user of River wrote
// them, and there are none. A group river is left out, because the job has its own.
func storedAttrs(metadata []byte) []slog.Attr {
	stored := gjson.GetBytes(metadata, attrsPath)
	if len(stored.Raw) > maxAttrsRead {
		return nil
	}
	return slices.DeleteFunc(decodeAttrs(stored), func(a slog.Attr) bool {
		return a.Key == riverGroup || strings.HasPrefix(a.Key, riverGroup+".")
	})
}

// decodeAttrs returns the attributes that encodeAttrs wrote.
func decodeAttrs(object gjson.Result) (attrs []slog.Attr) {
	if !object.IsObject() {
		return nil
	}
	object.ForEach(func(key, value gjson.Result) bool {
		attrs = append(attrs, slog.Attr{Key: key.Str, Value: decodeValue(value)})
		return true
	})
	return attrs
}

func decodeValue(v gjson.Result) slog.Value {
	switch {
	case v.Type == gjson.String:
		return slog.StringValue(v.Str)
	case v.Type == gjson.Number:
		if i, err := strconv.ParseInt(v.Raw, 10, 64); err == nil {
			return slog.Int64Value(i)
		}
		return slog.Float64Value(v.Num)
	case v.IsBool():
		return slog.BoolValue(v.Bool())
	case v.IsObject():
		return slog.GroupValue(decodeAttrs(v)...)
	default:
		return slog.AnyValue(v.Value())
	}
}
