package taskz

import (
	"encoding/json"
	"time"

	"github.com/afterspan/afterspan/core"
)

// pageView is the page as JSON.
type pageView struct {
	Title       string              `json:"title"`
	Instance    string              `json:"instance"` // changes when the process is restarted
	At          time.Time           `json:"at"`
	Draining    bool                `json:"draining"`
	CanCancel   bool                `json:"can_cancel"`
	HasLeaks    bool                `json:"can_find_leaks"`
	Stats       core.Stats          `json:"stats"`
	Kept        keptView            `json:"kept"`
	SlotSeconds float64             `json:"slot_seconds"`
	Total       *overTime           `json:"over_time"`
	Names       []nameView          `json:"names"`
	NamesCut    int                 `json:"names_cut"`
	Running     listView            `json:"running"` // and queued
	Ended       map[string]listView `json:"ended"`   // by outcome, the last first
}

// keptView says what is remembered of ended tasks.
type keptView struct {
	Tasks   int     `json:"tasks"` // of each outcome
	Seconds float64 `json:"seconds"`
}

type listView struct {
	Total    int        `json:"total"`
	Matching int        `json:"matching"`
	Tasks    []taskView `json:"tasks"` // the matching ones, up to the limit
}

// taskView is a task as JSON. The first seven fields are those of core.TaskInfo's JSON, except that
// all attributes are text.
type taskView struct {
	ID           uint64     `json:"id"`
	Name         string     `json:"name"`
	State        string     `json:"state"`
	AgeSeconds   float64    `json:"age_seconds"`
	Timeout      *float64   `json:"timeout"`
	Context      pairs      `json:"context"`
	Done         bool       `json:"done"`
	Overdue      bool       `json:"overdue,omitempty"`
	QueueSeconds float64    `json:"queue_seconds"`
	RunSeconds   *float64   `json:"run_seconds"` // null: it has not started, or never did
	CreatedAt    time.Time  `json:"created_at"`
	EndedAt      *time.Time `json:"ended_at,omitempty"`
	Cause        string     `json:"cause,omitempty"` // of a cancel or a timeout
	Error        string     `json:"error,omitempty"`
	Stack        string     `json:"stack,omitempty"` // of a panic
	TraceID      string     `json:"trace_id,omitempty"`
	TraceURL     string     `json:"trace_url,omitempty"`
	Lines        []lineView `json:"lines,omitempty"`
	LinesDropped int        `json:"lines_dropped,omitempty"`
}

type lineView struct {
	At    time.Time `json:"at"`
	Level string    `json:"level"`
	Text  string    `json:"text"`
}

// MarshalJSON returns an object, in the order of the attributes.
func (p pairs) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, one := range p {
		if i > 0 {
			out = append(out, ',')
		}
		for j, text := range []string{one.key, one.value} {
			encoded, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			if j > 0 {
				out = append(out, ':')
			}
			out = append(out, encoded...)
		}
	}
	return append(out, '}'), nil
}

// view returns the page that a query asks for. It calls user code.
func (p *Page) view(s *snapshot, q query) *pageView {
	v := &pageView{
		Title: p.title, Instance: p.instance, At: s.at, Draining: s.draining,
		CanCancel: p.cancel, HasLeaks: leakProfile() != nil, Stats: s.stats,
		Kept: keptView{p.recent, p.keep.Seconds()}, SlotSeconds: slotWidth.Seconds(),
		Total: s.total, Names: s.names, NamesCut: s.namesCut, Ended: make(map[string]listView),
	}
	ask := p.resolver.begin()
	shown, matching := q.running(s, ask)
	v.Running = listView{Total: len(s.tasks), Matching: matching, Tasks: []taskView{}}
	for _, t := range shown {
		v.Running.Tasks = append(v.Running.Tasks, p.runningView(t, ask))
	}
	for o := range outcome(outcomes) {
		v.Ended[o.String()] = p.endedList(s.at, o, q)
	}
	return v
}

// endedList returns the ended tasks of an outcome that a query asks for, without stacks and lines.
func (p *Page) endedList(now time.Time, o outcome, q query) listView {
	records := p.memory.recent(o, now.Add(-p.keep))
	l := listView{Total: len(records), Tasks: []taskView{}}
	for i := range records {
		r := &records[i]
		if !q.matchesRecord(r) {
			continue
		}
		if l.Matching++; l.Matching <= q.limit {
			v := p.endedView(now, r)
			v.Stack, v.Lines, v.LinesDropped = "", nil, 0
			l.Tasks = append(l.Tasks, v)
		}
	}
	return l
}

// runningView shows a task that has not ended, without its lines. It calls user code.
func (p *Page) runningView(t *core.TaskInfo, ask *asking) taskView {
	v := taskView{
		ID: t.ID, Name: cut(t.Name, maxName), State: t.State, AgeSeconds: seconds(t.Age), Timeout: timeoutOf(t.Timeout),
		Context: ask.textOf(t), Done: t.Done, Overdue: t.Overdue, QueueSeconds: seconds(t.Age), CreatedAt: t.CreatedAt,
	}
	if !t.StartedAt.IsZero() {
		wait := t.StartedAt.Sub(t.CreatedAt)
		v.QueueSeconds, v.RunSeconds = seconds(wait), new(seconds(t.Age-wait))
	}
	if r, ok := p.runs.of(t.ID); ok {
		v.TraceID = p.traceIDOf(r.ctx, r.task)
		v.TraceURL = p.traceLink(v.TraceID)
	}
	return v
}

// endedView shows a record.
func (p *Page) endedView(now time.Time, r *record) taskView {
	v := taskView{
		ID: r.id, Name: r.name, State: r.outcome.String(), AgeSeconds: seconds(max(now.Sub(r.created), 0)), Timeout: timeoutOf(r.timeout),
		Context: r.attrs, Done: r.outcome != abandoned, QueueSeconds: seconds(r.wait()), CreatedAt: r.created, EndedAt: &r.ended,
		Cause: r.cause, Error: r.err, Stack: r.stack, TraceID: r.traceID, TraceURL: p.traceLink(r.traceID),
	}
	if !r.started.IsZero() {
		v.RunSeconds = new(seconds(r.duration()))
	}
	v.addLines(r.lines)
	return v
}

func (v *taskView) addLines(l lines) {
	v.LinesDropped = l.dropped
	for _, one := range l.all {
		v.Lines = append(v.Lines, lineView{one.at, one.level.String(), one.text})
	}
}

// timeoutOf returns d in seconds, or nil for none.
func timeoutOf(d time.Duration) *float64 {
	if d <= 0 {
		return nil
	}
	return new(d.Seconds())
}
