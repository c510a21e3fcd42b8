package otelmw

import "go.opentelemetry.io/otel/attribute"

// ourPrefix is the prefix of the keys of our attributes. Attributes of users and of baggage under
// such a key are dropped.
const ourPrefix = "afterspan."

// Our attributes.
const (
	taskNameKey       = attribute.Key("afterspan.task.name")
	taskIDKey         = attribute.Key("afterspan.task.id")
	taskTimeoutKey    = attribute.Key("afterspan.task.timeout")
	taskQueueTimeKey  = attribute.Key("afterspan.task.queue_time")
	taskAttemptKey    = attribute.Key("afterspan.task.attempt")
	taskOutcomeKey    = attribute.Key("afterspan.task.outcome")
	taskStateKey      = attribute.Key("afterspan.task.state")
	cancelCauseKey    = attribute.Key("afterspan.task.cancel_cause")
	handedOverKey     = attribute.Key("afterspan.task.handed_over")
	refusalReasonKey  = attribute.Key("afterspan.refusal.reason")
	spawnerTraceIDKey = attribute.Key("afterspan.spawner.trace_id")
	spawnerSpanIDKey  = attribute.Key("afterspan.spawner.span_id")
	originTraceIDKey  = attribute.Key("afterspan.origin.trace_id")
	linkKindKey       = attribute.Key("afterspan.link.kind")
	managerNameKey    = attribute.Key("afterspan.manager.name")
)

// Attributes of OpenTelemetry's semantic conventions. They are stable there, so no release of package
// semconv is needed for them: a service need not upgrade OpenTelemetry for this package.
const (
	errorTypeKey           = attribute.Key("error.type")
	exceptionTypeKey       = attribute.Key("exception.type")
	exceptionMessageKey    = attribute.Key("exception.message")
	exceptionStacktraceKey = attribute.Key("exception.stacktrace")
)
