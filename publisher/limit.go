package publisher

import (
	"fmt"
	"strings"
)

// A LimitError says that an event is too large for its broker, and why. Adapters return it before
// they send anything. It is a [Permanent] error.
type LimitError struct {
	Field string // the part that is too large: "body" or "headers", for example
	Size  int    // of the field, in bytes
	Limit int    // how many bytes the field may have
	By    string // what sets the limit: "the connection's frame_max", for example
}

// Error returns a text such as "the body has 20 bytes; the server's max_payload allows 10".
func (e *LimitError) Error() string {
	verb := "has"
	if strings.HasSuffix(e.Field, "s") { // headers
		verb = "have"
	}
	return fmt.Sprintf("the %s %s %d bytes; %s allows %d", e.Field, verb, e.Size, e.By, e.Limit)
}

// Permanent returns true.
func (e *LimitError) Permanent() bool { return true }

// CheckLimit returns a [LimitError] if the field has more bytes than the limit. A limit of 0 or less
// means that there is none.
func CheckLimit(field string, size, limit int, by string) error {
	if limit <= 0 || size <= limit {
		return nil
	}
	return &LimitError{Field: field, Size: size, Limit: limit, By: by}
}
