package otelmw

import (
	"fmt"

	"go.opentelemetry.io/otel"
)

// contain is deferred around what is not ours: callbacks, and the SDK's samplers and processors. A panic in
// there goes to the error handler of OpenTelemetry and not to the task.
func contain(what string) {
	if v := recover(); v != nil {
		defer func() { _ = recover() }() // the error handler is the user's, too
		otel.Handle(fmt.Errorf("otelmw: %s panicked: %v", what, v))
	}
}
