package otelmw

// A Relation says how a task's span relates to the span that spawned it.
type Relation uint8

// The relations.
const (
	// Link makes the task's span the root of a trace of its own, linked with the spawner's trace both
	// ways. The conventions for messaging do the same:
	// https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
	Link Relation = iota
	// Child makes the task's span a child of the spawner's, in the same trace, without links.
	Child
	// None makes the task's span the root of a trace of its own, without links.
	None
)

// String returns link, child or none.
func (r Relation) String() string {
	switch r {
	case Child:
		return "child"
	case None:
		return "none"
	default:
		return "link"
	}
}
