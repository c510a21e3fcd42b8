package publishertest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/afterspan/afterspan/publisher"
)

func (k *kit) takesTimesAtTheEdges() {
	for i, moment := range []time.Time{
		time.Unix(0, 0), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
	} {
		e := numbered("t-1", i)
		e.Timestamp = moment
		k.publish(k.context(), e)
		if got := k.receive().Event.Timestamp; !got.Equal(moment) {
			k.Errorf("the time %v arrived as %v", moment, got)
		}
	}
}

// Most readers of JSON turn numbers into float64, and keep one of two equal keys. A publisher that
// accepts a value which does not survive that must deliver it unchanged. Most refuse it.
func (k *kit) changesNoValue() {
	for i, raw := range []string{
		`9007199254740992`, `9007199254740993`, `-9223372036854775808`, `18446744073709551615`, `1e400`, `1e-400`,
		`0.1`, `0.12345678901234567890`, `{"a":1,"a":2}`,
	} {
		e := numbered("t-1", i)
		e.Data = map[string]any{"value": json.RawMessage(raw)}
		err := k.call(k.context(), k.Publisher, e)
		switch {
		case err == nil:
			if got := k.receive().Event.Data["value"]; !isSame(raw, got) {
				k.Errorf("the value %s arrived as %v", raw, got)
			}
		case !publisher.IsPermanent(err):
			k.Errorf("the value %s is refused with an error that is not permanent: %v", raw, err)
		}
	}
}

// isSame reports whether got is the value with this JSON.
func isSame(raw string, got any) bool {
	switch got := got.(type) {
	case json.Number:
		return got.String() == raw
	case float64:
		want, err := strconv.ParseFloat(raw, 64)
		text := strconv.FormatFloat(got, 'f', -1, 64)
		return err == nil && got == want && (text == raw || strconv.FormatFloat(got, 'f', 0, 64) == raw)
	default:
		return fmt.Sprint(got) == raw
	}
}
