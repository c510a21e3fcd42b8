package riverq

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/riverqueue/river"
)

// uniqueKey returns a key that jobs have in common only if River's unique key is the same for them.
// It is empty for a job that is not unique.
func uniqueKey(args river.JobArgs) (key string) {
	defer func() {
		if recover() != nil { // user code; the insert will show the panic
			key = ""
		}
	}()
	withOpts, ok := args.(river.JobArgsWithInsertOpts)
	if !ok {
		return ""
	}
	opts := withOpts.InsertOpts()
	unique := opts.UniqueOpts
	if reflect.ValueOf(unique).IsZero() {
		return ""
	}
	var (
		queue   string
		at      time.Time
		encoded []byte
	)
	if unique.ByQueue {
		queue = opts.Queue
	}
	if unique.ByPeriod != 0 {
		at = opts.ScheduledAt
	}
	if unique.ByArgs {
		var err error
		if encoded, err = json.Marshal(args); err != nil {
			return "" // the insert will show the error
		}
	}
	return fmt.Sprintf("%q %+v %q %v %s", args.Kind(), unique, queue, at, encoded)
}
