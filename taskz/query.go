package taskz

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterspan/afterspan/core"
)

// A query says which tasks a reader wants to see.
type query struct {
	words   []string // in lower case
	name    string
	state   string
	sort    string // a key of less
	reverse bool
	limit   int
}

const (
	defaultLimit = 200
	maxLimit     = 1000
	maxQuery     = 512 // bytes
)

var states = []string{"", "queued", "running", "cancelling", "overdue"}

// parseQuery reads a query from the parameters of a request. Its errors are for the reader.
func parseQuery(v url.Values) (q query, err error) {
	q = query{name: v.Get("name"), state: v.Get("state"), limit: defaultLimit}
	text := v.Get("q")
	if len(text) > maxQuery || len(q.name) > maxQuery {
		return q, fmt.Errorf("q or name is longer than %d bytes", maxQuery)
	}
	q.words = strings.Fields(strings.ToLower(text))
	if !slices.Contains(states, q.state) {
		return q, fmt.Errorf("unknown state %q: want queued, running, cancelling or overdue", q.state)
	}
	q.sort, q.reverse = strings.CutPrefix(v.Get("sort"), "-")
	if q.sort == "" {
		q.sort = "age"
	}
	if less[q.sort] == nil {
		return q, fmt.Errorf("unknown sort %q: want age, name, state or timeout", q.sort)
	}
	if s := v.Get("limit"); s != "" {
		if q.limit, err = strconv.Atoi(s); err != nil || q.limit < 0 || q.limit > maxLimit {
			return q, fmt.Errorf("limit has to be between 0 and %d", maxLimit)
		}
	}
	return q, nil
}

// key is different for different queries.
func (q *query) key() string {
	return fmt.Sprintf("%q %q %s %s %v %d", q.words, q.name, q.state, q.sort, q.reverse, q.limit)
}

// less has a comparison of two tasks for each key that tasks can be sorted by. Equal tasks stay in
// order of age.
var less = map[string]func(now time.Time, a, b *core.TaskInfo) int{
	"age":  func(time.Time, *core.TaskInfo, *core.TaskInfo) int { return 0 },
	"name": func(_ time.Time, a, b *core.TaskInfo) int { return strings.Compare(a.Name, b.Name) },
	"state": func(_ time.Time, a, b *core.TaskInfo) int {
		return cmp.Compare(stateRank(a), stateRank(b))
	},
	"timeout": func(now time.Time, a, b *core.TaskInfo) int {
		return cmp.Compare(usedUp(now, b), usedUp(now, a))
	},
}

// stateRank orders states: those that need a look come first.
func stateRank(t *core.TaskInfo) int {
	return -slices.Index(states, stateOf(t))
}

// usedUp returns the share of the timeout that has passed.
func usedUp(now time.Time, t *core.TaskInfo) float64 {
	if t.Timeout <= 0 || t.StartedAt.IsZero() {
		return 0
	}
	return float64(now.Sub(t.StartedAt)) / float64(t.Timeout)
}

// stateOf returns the state as readers filter by it, and sort.
func stateOf(t *core.TaskInfo) string { return shownState(t.State, t.Overdue) }

// shownState returns the state as the page and the text show it. In JSON it is core's, and overdue
// a field of its own.
func shownState(state string, isOverdue bool) string {
	if isOverdue {
		return "overdue"
	}
	return state
}

// running returns the tasks that the reader wants to see, in order, and how many match. It asks for
// attributes if there are words.
func (q *query) running(s *snapshot, ask *asking) (shown []*core.TaskInfo, matching int) {
	var found []*core.TaskInfo
	for i := range s.tasks {
		if t := &s.tasks[i]; q.matches(t, ask) {
			found = append(found, t)
		}
	}
	compare := less[q.sort]
	slices.SortStableFunc(found, func(a, b *core.TaskInfo) int { return compare(s.at, a, b) })
	if q.reverse {
		slices.Reverse(found)
	}
	return found[:min(len(found), q.limit)], len(found)
}

func (q *query) matches(t *core.TaskInfo, ask *asking) bool {
	if q.name != "" && !isNamed(cut(t.Name, maxName), q.name) {
		return false
	}
	if q.state != "" && stateOf(t) != q.state && t.State != q.state {
		return false
	}
	if len(q.words) == 0 {
		return true
	}
	return q.hasWords(t.ID, t.Name, ask.textOf(t), "")
}

// isNamed reports whether a name, which is cut, is shown as asked, in JSON or in text.
func isNamed(shown, asked string) bool {
	return shown == asked || visible(shown) == asked
}

func (q *query) matchesRecord(r *record) bool {
	if q.name != "" && !isNamed(r.name, q.name) {
		return false
	}
	return len(q.words) == 0 || q.hasWords(r.id, r.name, r.attrs, r.err)
}

// hasWords reports whether each word is the id, or part of the name, an attribute or the error.
func (q *query) hasWords(id uint64, name string, attrs pairs, err string) bool {
	number := strconv.FormatUint(id, 10)
	name, err = strings.ToLower(name), strings.ToLower(err)
	for _, word := range q.words {
		if strings.TrimPrefix(word, "#") == number || strings.Contains(name, word) || strings.Contains(err, word) {
			continue
		}
		if !slices.ContainsFunc(attrs, func(p pair) bool {
			return strings.Contains(strings.ToLower(p.key+"="+p.value), word)
		}) {
			return false
		}
	}
	return true
}
