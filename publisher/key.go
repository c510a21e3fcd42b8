package publisher

import "strings"

// The prefixes of keys that are not a thread's.
const runPrefix, eventPrefix, threadPrefix = "run:", "event:", "thread:"

// Key returns the key that the event is ordered by. The key of a thread is its ThreadID. An event
// without a thread has the key of its run, which is "run:" and the RunID. The key is "" if the event
// has neither.
//
// No two threads or runs share a key. A ThreadID that starts with "run:", "event:" or "thread:"
// therefore gets "thread:" in front of it.
func (e Event) Key() string {
	switch {
	case e.ThreadID != "" && looksPrefixed(e.ThreadID):
		return threadPrefix + e.ThreadID
	case e.ThreadID != "":
		return e.ThreadID
	case e.RunID != "":
		return runPrefix + e.RunID
	default:
		return ""
	}
}

// queueKey returns the key of the event in the queue of an [Ordered]: Key, or a key of its own for
// an event that has none.
func (e Event) queueKey() string {
	if key := e.Key(); key != "" {
		return key
	}
	return eventPrefix + e.ID
}

func looksPrefixed(threadID string) bool {
	for _, prefix := range []string{runPrefix, eventPrefix, threadPrefix} {
		if strings.HasPrefix(threadID, prefix) {
			return true
		}
	}
	return false
}
