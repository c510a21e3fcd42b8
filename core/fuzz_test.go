package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterspan/afterspan/core"
)

// A random program of operations, each a few bytes, and what has to hold after each of them.

func FuzzManager(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("no limit: a few tasks that end, and one that does not"))
	f.Add([]byte{2, 1, 0, 0, 6, 0, 0, 0, 4, 9, 0, 0, 0, 0, 0, 9, 3, 0, 0, 5, 6, 0, 8, 3, 11, 0})
	f.Add([]byte{1, 0, 1, 0, 6, 0, 0, 0, 6, 0, 0, 1, 6, 0, 0, 8, 30, 8, 30, 7, 0, 8, 3})
	for seed := range uint64(8) {
		f.Add(randomProgram(seed))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		bubble(t, func(t *testing.T) { runProgram(t, program[:min(len(program), 300)]) })
	})
}

func TestRandomInterleavings(t *testing.T) {
	for seed := range uint64(150) {
		inBubble(t, fmt.Sprint("seed ", seed), func(t *testing.T) { runProgram(t, randomProgram(seed)) })
	}
}

func randomProgram(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	program := make([]byte, 40+random.IntN(160))
	for i := range program {
		program[i] = byte(random.Uint32())
	}
	return program
}

// machine runs a program.
type machine struct {
	t       *testing.T
	program []byte

	m                  *core.Manager
	maxRunning, queued int
	blocking           bool
	calls              sync.WaitGroup // of the manager that may block
	serials            [2]*core.Keyed
	asked              int // how many calls of Go the program itself has made

	mu      sync.Mutex
	handles []*core.Task // what Go returned
	records map[*core.Task]*record
	refused map[*core.Task]int // how often Refused was called
	inside  int                // Funcs that are running
	seats   [seats]seat        // of those with a key
	outside map[*plan]bool     // calls of Go that are not accepted yet
}

// record is what the chain has seen of a task.
type record struct {
	plan                             *plan
	spawns, runs, ends, calls, ended int
	seen                             core.Outcome
}

// plan is what a task will do.
type plan struct {
	kind, manner byte
	seat         int // 0 for a task without a key
	asked        int // the how many-th call of the program, 0 for a follow-up
	d, timeout   time.Duration
	child        *plan
}

func runProgram(t *testing.T, program []byte) {
	x := &machine{t: t, program: program, records: map[*core.Task]*record{}, refused: map[*core.Task]int{}, outside: map[*plan]bool{}}
	a, b, c := x.next(), x.next(), x.next()
	x.maxRunning, x.queued, x.blocking = int(a%5), int(b%6)-1, c%3 == 0
	x.serials = [2]*core.Keyed{boundedBy(a, b), boundedBy(c, a)}
	opts := []core.Option{
		core.WithLimit(x.maxRunning, x.queued),
		core.WithMiddleware(x.observer(), mischief()),
		core.WithShutdownTimeout(10 * time.Second),
		logTo(func(ctx context.Context, _ slog.Record) { nosy(&x.m, ctx) }),
	}
	if x.blocking {
		opts = append(opts, core.WithBlocking())
	}
	x.m = core.New(opts...)
	for len(x.program) > 0 {
		x.step()
		synctest.Wait()
		x.check()
	}
	x.finish()
}

func (x *machine) next() byte {
	if len(x.program) == 0 {
		return 0
	}
	b := x.program[0]
	x.program = x.program[1:]
	return b
}

func (x *machine) seconds() time.Duration { return time.Duration(x.next()%16) * time.Second / 2 }

func (x *machine) step() {
	switch op := x.next() % 16; op {
	default: // the most usual
		p, patience := x.plan(2), x.seconds()
		x.asked++
		p.asked = x.asked
		x.call(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			x.spawn(ctx, p)
		})
	case 8, 9:
		time.Sleep(x.seconds())
	case 10, 11:
		if n := len(x.handles); n > 0 {
			x.handles[int(x.next())%n].Cancel()
		}
	case 12:
		x.m.CancelAll()
	case 13:
		ctx, cancel := context.WithTimeout(context.Background(), x.seconds())
		defer cancel()
		if x.m.Wait(ctx) == nil {
			synctest.Wait()
		}
	case 14:
		if bound := x.seconds(); x.next()%4 == 0 {
			x.call(func() { x.shutdown(bound) })
		}
	case 15:
		if x.next()%4 == 0 {
			x.call(func() { _ = x.m.Close() })
		}
	}
}

// call makes a call that may block, and goes on with the program.
func (x *machine) call(f func()) { x.calls.Go(f) }

func (x *machine) plan(depth int) *plan {
	kind, manner := x.next(), x.next()
	p := &plan{kind: kind % 12, manner: manner % 16, seat: seatOf(manner), d: x.seconds(), timeout: x.seconds()}
	if p.kind >= 10 && depth > 0 {
		p.child = x.plan(depth - 1)
	}
	return p
}

// spawn starts a task, and keeps the handle.
func (x *machine) spawn(ctx context.Context, p *plan) {
	x.setOutside(p, true)
	ctx = context.WithValue(ctx, key("plan"), p)
	task := x.m.Go(ctx, fmt.Sprint(p.manner), func(ctx context.Context) error { return x.run(ctx, p) },
		core.WithTimeout(p.timeout), x.serial(p))
	x.setOutside(p, false)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.handles = append(x.handles, task)
}

func (x *machine) run(ctx context.Context, p *plan) error {
	x.enter(task(ctx), p, 1)
	defer x.enter(task(ctx), p, -1)
	switch p.kind {
	case 0:
		return nil
	case 1:
		return errTask
	case 2:
		panic("no")
	case 3:
		runtime.Goexit()
	case 4:
		return ignore(p.d)(ctx)
	case 5:
		return ignoreAndFail(p.d)(ctx)
	case 6, 7:
		return obey(ctx)
	case 8, 9:
		return during(p.d)(ctx)
	}
	if p.child != nil { // a follow-up; it may come when this one has ended
		x.call(func() { x.spawn(ctx, p.child) })
		if p.kind == 10 {
			time.Sleep(p.d)
		}
	}
	return nil
}

func (x *machine) enter(task *core.Task, p *plan, n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.inside += n
	x.seats[p.seat].enter(x.t, p, task.ID(), n)
	if n > 0 {
		x.records[task].calls++
		assert.True(x.t, x.maxRunning == 0 || x.inside <= x.maxRunning, "%d at a time", x.inside)
	}
}

func (x *machine) shutdown(bound time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	begin := time.Now()
	s, err := x.m.Shutdown(ctx)
	assert.LessOrEqual(x.t, time.Since(begin), bound)
	assert.Equal(x.t, s.InitialTasks+s.SpawnedTasks,
		s.CompletedTasks+s.FailedTasks+s.CancelledTasks+s.TimedOutTasks+s.RejectedTasks+s.RemainingTasks, "%+v", s)
	if report, ok := errors.AsType[*core.ShutdownError](err); ok {
		assert.Len(x.t, report.Remaining, s.RemainingTasks)
		assert.NotEmpty(x.t, append(report.Remaining, report.Cancelled...))
	} else {
		assert.NoError(x.t, err)
		assert.Zero(x.t, s.RemainingTasks)
	}
}

// check checks what holds at every instant at which nothing moves.
func (x *machine) check() {
	t, stats, infos := x.t, x.m.Stats(), x.m.Tasks()
	requireBalanced(t, stats)
	require.Len(t, infos, stats.Running+stats.Queued)
	require.True(t, slices.IsSortedFunc(infos, func(a, b core.TaskInfo) int { return int(a.ID) - int(b.ID) }))
	for _, info := range infos {
		require.False(t, info.Done)
	}
	if x.maxRunning > 0 {
		require.LessOrEqual(t, stats.Running, x.maxRunning)
		require.True(t, x.queued < 0 || stats.Queued <= x.queued, "%+v", stats)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.checkWaiting(stats, x.live(infos))
	for _, task := range x.handles {
		outcome, err := task.Outcome(), task.Err()
		require.Equal(t, outcome != core.Pending && outcome != core.Completed, err != nil, "%v: %v, %v", task, outcome, err)
	}
}

// finish ends the manager, and checks each task and the sums.
func (x *machine) finish() {
	t := x.t
	_ = x.m.Close()
	require.NoError(t, x.m.Wait(context.Background()))
	x.calls.Wait()
	require.NoError(t, x.m.Close())
	synctest.Wait()
	x.check()
	require.Equal(t, core.ErrClosed, x.m.Go(context.Background(), "late", succeed).Err())

	x.mu.Lock()
	defer x.mu.Unlock()
	slices.SortFunc(x.handles, func(a, b *core.Task) int { return int(a.ID()) - int(b.ID()) })
	sums, accepted := core.Stats{Created: 1, Rejected: 1}, uint64(0)
	x.checkOrder()
	for _, task := range x.handles {
		select {
		case <-task.Done():
		default:
			require.Fail(t, "is not done", "%v", task)
		}
		r := x.records[task]
		sums.Created++
		if task.ID() == 0 {
			sums.Rejected++
			require.Nil(t, r, "a refused task passes no chain")
			require.Equal(t, 1, x.refused[task])
			continue
		}
		accepted++
		require.EqualValues(t, accepted, task.ID(), "numbered without a gap")
		require.Equal(t, []int{1, 1, 1, 1}, []int{r.spawns, r.runs, r.ends, r.ended}, "%v: %v", task, task.Err())
		if r.seen != core.Pending {
			require.Equal(t, task.Outcome().String(), r.seen.String(), "%v: %v", task, task.Err())
		}
		switch task.Outcome() {
		case core.Completed:
			sums.Completed++
		case core.Failed:
			sums.Failed++
		case core.Cancelled:
			sums.Cancelled++
		case core.TimedOut:
			sums.TimedOut++
		case core.Rejected:
			sums.Rejected++
		}
	}
	require.Equal(t, sums, x.m.Stats())
}
