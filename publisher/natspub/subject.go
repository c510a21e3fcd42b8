package natspub

import "strings"

// valid reports whether messages can be published to the subject. The oldest client that we support
// writes a subject to the connection without checking it, and the server would read the text after
// a line break as a command. https://docs.nats.io/nats-concepts/subjects
func valid(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" || strings.ContainsFunc(token, isSpaceOrControl) {
			return false
		}
	}
	return true
}

func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }
