package sched_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core/internal/sched"
)

// A program is a sequence of calls, each with its answer. An item is named by one letter; "a/k" is an
// item with key k.
//
//	add a           = run | queue | wait | closed | full | key | total
//	add a inside    by one of the scheduler's own unfinished items
//	add a waits     by a caller that waits for room
//	end a, cancel a = the items that changed, each with its state
type program struct {
	name  string
	limit [2]int
	key   sched.Key
	calls []string
}

var programs = []program{
	{name: "no limit", calls: []string{
		"add a = run", "add b = run", "count = 2+0", "end a =", "count = 1+0", "end b =", "idle = true",
	}},
	{name: "a limit without a queue", limit: [2]int{1, 0}, calls: []string{
		"add a = run", "add b = full", "end a =", "add c = run",
	}},
	{name: "a queue, in order", limit: [2]int{1, 2}, calls: []string{
		"add a = run", "add b = queue", "add c = queue", "add d = full", "count = 1+2",
		"end a = b:running", "end b = c:running", "count = 1+0",
	}},
	{name: "a queue without end", limit: [2]int{1, -1}, calls: []string{
		"add a = run", "add b = queue", "add c = queue", "add d = queue",
	}},
	{name: "cancelled in the queue keeps its place until it ends", limit: [2]int{1, 2}, calls: []string{
		"add a = run", "add b = queue", "add c = queue", "cancel b = b:skipping", "cancel b =",
		"count = 1+2", "add d = full", "end b =", "add d = queue", "end a = c:running",
	}},
	{name: "what runs cannot be taken out of the queue", limit: [2]int{1, 1}, calls: []string{
		"add a = run", "cancel a =", "count = 1+0", "end a =",
	}},
	{name: "a lower limit holds once enough has ended", calls: []string{
		"add a = run", "add b = run", "limit 1 1 =", "add c = queue", "end a =", "end b = c:running",
	}},
	{name: "a higher limit starts what waits", limit: [2]int{1, -1}, calls: []string{
		"add a = run", "add b = queue", "add c = queue", "limit 2 -1 = b:running", "limit 0 0 = c:running",
	}},
	{name: "callers that wait are served in order", limit: [2]int{1, 0}, calls: []string{
		"add a = run", "add b waits = wait", "add c waits = wait", "count = 1+0",
		"end a = b:running", "end b = c:running",
	}},
	{name: "a caller that waits gets a place in the queue", limit: [2]int{1, 1}, calls: []string{
		"add a = run", "add b = queue", "add c waits = wait", "end a = b:running c:queued",
	}},
	{name: "a caller that gives up", limit: [2]int{1, 0}, calls: []string{
		"add a = run", "add b waits = wait", "giveup b = true", "giveup b = false", "end a =",
	}},
	{name: "a caller that was served cannot give up", limit: [2]int{1, 0}, calls: []string{
		"add a = run", "add b waits = wait", "end a = b:running", "giveup b = false",
	}},
	{name: "a drain takes only what comes from inside", limit: [2]int{1, 1}, calls: []string{
		"add a = run", "add b = queue", "add c waits = wait", "drain = c:out", "add d = closed",
		"end a = b:running", "add e inside = queue", "close =", "add f inside = closed", "end b = e:running",
	}},
	{name: "one key runs one after another", calls: []string{
		"add a/k = run", "add b/k = queue", "add c/k = queue", "add d/j = run", "add e = run",
		"end a = b:running", "cancel c = c:skipping", "end b =", "add f/k = run",
	}},
	{name: "two of a key run at a time", key: sched.Key{Running: 2}, calls: []string{
		"add a/k = run", "add b/k = run", "add c/k = queue", "end b = c:running",
	}},
	{name: "a bound for each key", key: sched.Key{PerKey: 2}, calls: []string{
		"add a/k = run", "add b/k = queue", "add c/k = key", "add d/j = run",
		"cancel b = b:skipping", "add c/k = key", "end b =", "add c/k = queue",
	}},
	{name: "a bound for all keys", key: sched.Key{Total: 2}, calls: []string{
		"add a/k = run", "add b/j = run", "add c/i = total", "end a =", "add c/i = run",
	}},
	{name: "who waits for its key takes no slot", limit: [2]int{2, -1}, calls: []string{
		"add a/k = run", "add b/k = queue", "add c = run", "add d = queue",
		"end a = d:running", "end c = b:running",
	}},
	{name: "a caller that waits for a key holds up no others", key: sched.Key{PerKey: 1}, calls: []string{
		"add a/k = run", "add b/k waits = wait", "add c/j = run", "end a = b:running",
	}},
	{name: "one end may make room for two", limit: [2]int{1, 1}, key: sched.Key{PerKey: 1}, calls: []string{
		"add a/k = run", "add b = queue", "add c/k waits = wait", "add d waits = wait",
		"end a = b:running c:queued",
	}},
	{name: "a turn passes on when its holder is cancelled in the queue", limit: [2]int{1, -1}, calls: []string{
		"add a = run", "add b/k = queue", "add c/k = queue", "cancel b = b:skipping", "end a = c:running",
	}},
	{name: "who blocks whom", limit: [2]int{2, -1}, calls: []string{
		"add a/k = run", "add b/k = queue", "blocks a b = true", "blocks b a = false",
		"add c = run", "add d = queue", "blocks a d = true", "blocks c d = true", "blocks c b = false",
		"end c = d:running", "blocks a d = false",
	}},
	{name: "who passed its turn on blocks nobody", key: sched.Key{}, limit: [2]int{1, -1}, calls: []string{
		"add a = run", "add b/k = queue", "add c/k = queue", "add d/k = queue", "blocks b d = true",
		"cancel b = b:skipping", "blocks b d = false", "blocks c d = true", "blocks b c = false", "blocks a c = true",
	}},
}

func TestScheduler(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			m := newMachine(p)
			for _, step := range p.calls {
				call, want, _ := strings.Cut(step, "=")
				require.Equal(t, strings.TrimSpace(want), m.do(strings.Fields(call)), "%s", step)
				m.check(t)
			}
		})
	}
}

// machine runs a program.
type machine struct {
	s     sched.Scheduler[string]
	key   sched.Key
	items map[string]*sched.Item[string]
}

func newMachine(p program) *machine {
	m := &machine{key: p.key, items: map[string]*sched.Item[string]{}}
	m.s.SetLimit(p.limit[0], p.limit[1])
	return m
}

func (m *machine) do(call []string) string {
	switch call[0] {
	case "add":
		return m.add(call[1], call[2:])
	case "end":
		return changed(m.s.End(m.items[call[1]]))
	case "cancel":
		return changed(m.s.Cancel(m.items[call[1]]))
	case "giveup":
		return fmt.Sprint(m.s.GiveUp(m.items[call[1]]))
	case "limit":
		var running, queued int
		_, _ = fmt.Sscan(call[1]+" "+call[2], &running, &queued)
		return changed(m.s.SetLimit(running, queued))
	case "drain":
		return changed(m.s.Drain())
	case "close":
		m.s.Close()
		return ""
	case "blocks":
		return fmt.Sprint(m.s.Blocks(m.items[call[1]], m.items[call[2]]))
	case "idle":
		return fmt.Sprint(m.s.Idle())
	case "count":
		return fmt.Sprintf("%d+%d", m.s.Running(), m.s.Queued())
	}
	return "no such call"
}

func (m *machine) add(item string, how []string) string {
	name, key, keyed := strings.Cut(item, "/")
	it := &sched.Item[string]{Owner: name}
	if keyed {
		it.Key = &sched.Key{
			Set: m, Name: key, Running: m.key.Running, PerKey: m.key.PerKey, Total: m.key.Total,
		}
	}
	m.items[name] = it
	verdict := m.s.Add(it, sched.Caller{
		Inside: slices.Contains(how, "inside"),
		Waits:  slices.Contains(how, "waits"),
	})
	return [...]string{"run", "queue", "wait", "closed", "full", "key", "total"}[verdict]
}

func changed(items []*sched.Item[string]) string {
	var words []string
	for _, it := range items {
		words = append(words, it.Owner+":"+states[it.State()])
	}
	return strings.Join(words, " ")
}

var states = [...]string{"out", "waiting", "queued", "running", "skipped", "skipping"}

// check checks what holds after every call.
func (m *machine) check(t *testing.T) {
	t.Helper()
	count := map[sched.State]int{}
	for _, it := range m.items {
		count[it.State()]++
	}
	queued := count[sched.Queued] + count[sched.Skipped] + count[sched.Skipping]
	require.Equal(t, count[sched.Running], m.s.Running())
	require.Equal(t, queued, m.s.Queued())
	require.Len(t, slices.Collect(m.s.Unfinished), m.s.Running()+queued)
	require.Len(t, slices.Collect(m.s.Started), count[sched.Running]+count[sched.Skipping])
}

// A shutdown may cancel a hundred thousand queued items at once.
func TestCancelledItemsPassInPortions(t *testing.T) {
	const items, portion = 2_500, 1_000
	var s sched.Scheduler[int]
	s.SetLimit(1, -1)
	all := make([]*sched.Item[int], items)
	for i := range all {
		all[i] = &sched.Item[int]{Owner: i}
		s.Add(all[i], sched.Caller{})
	}
	passing := 0
	for _, it := range all[1:] {
		passing += len(s.Cancel(it))
	}
	require.Equal(t, portion, passing)
	for _, it := range all[1:] { // each that has passed lets the next pass
		require.Equal(t, sched.Skipping, it.State())
		s.End(it)
	}
	require.Equal(t, 1, s.Running())
	require.Zero(t, s.Queued())
}

// The answer to a call with very many items does not stay in memory.
func TestLongAnswersAreForgotten(t *testing.T) {
	var s sched.Scheduler[int]
	s.SetLimit(1, -1)
	for i := range 5_000 {
		s.Add(&sched.Item[int]{Owner: i}, sched.Caller{})
	}
	require.Len(t, s.SetLimit(0, 0), 4_999)
	require.Empty(t, s.SetLimit(0, 0))
	require.LessOrEqual(t, cap(s.SetLimit(0, 0)), 1_000)
}
