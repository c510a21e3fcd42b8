package otelmw

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// mostAttributes is how many attributes a span may start with: the SDK's default limit is 128, and
// error.type or the cause of a cancel comes at the end.
const mostAttributes = 127

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

// addForeign adds attributes of users and of baggage, except for afterspan.* keys.
func (a *attributes) addForeign(kvs ...attribute.KeyValue) {
	for _, kv := range foreign(kvs) {
		a.add(kv)
	}
}

// foreign returns kvs without those under afterspan.*, each made fit for a trace.
func foreign(kvs []attribute.KeyValue) (fitted []attribute.KeyValue) {
	for _, kv := range kvs {
		if !isOurs(string(kv.Key)) {
			fitted = append(fitted, fit(kv))
		}
	}
	return fitted
}

// addOptional adds what the options ask for beside the task's own attributes.
func (mw *middleware) addOptional(ctx context.Context, a *attributes, s *spawn) {
	for _, f := range mw.attributesFuncs {
		a.addForeign(callForAttributes(ctx, s.task, f, "the callback of WithAttributesFunc")...)
	}
	for _, kv := range s.baggage {
		a.add(kv)
	}
	for _, kv := range mw.attributes {
		a.add(kv)
	}
}

func isOurs(key string) bool { return strings.HasPrefix(key, ourPrefix) }
