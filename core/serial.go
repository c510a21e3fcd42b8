package core

import "fmt"

// A Serial lets the tasks of one key run one after another, or a few at a time, in the order in which they were accepted: all
// that concerns one conversation, say. Tasks of different keys run side by side. A task that waits for its turn is queued like
// one that waits for a slot: it holds no goroutine, can be cancelled, and is finished by a shutdown that drains.
// So a busy key has one goroutine, and an idle one has nothing. In a manager with a limit a task whose turn has come
// waits for a slot behind those that were waiting for one.
//
// The zero value is ready for use and sets no bounds. Give it to tasks with [WithSerial], and do not change its
// fields after that. One Serial may serve several managers, each of which orders and counts its own tasks.
//
// A task must not wait for another one of its own key: that one's turn comes when it has ended. The order is that of the Funcs:
// the middlewares of a task that is cancelled while it waits run at once.
type Serial struct {
	// Width is how many tasks of one key run at a time: 1 if it is 0 or less. With more they only start in order. It is the
	// limit of what one tenant may take, say, where [WithLimit] is that of all.
	Width int
	// PerKey is how many tasks of one key may run and wait together, Total how many of all keys. 0 or less is
	// no limit. What finds no room is refused with an error that matches [ErrFull] and names the key, or waits for room. In a
	// manager with a limit, those that wait take places of its queue, too.
	PerKey, Total int
	// Blocking makes [Manager.Go] wait for room, in the Serial and in the manager, until its ctx is done, as
	// [WithBlocking] does for all of a manager's tasks, and with the same exception.
	Blocking bool
}

// WithSerial makes the task wait until, of those that were accepted before it with the same key of the same s, fewer than
// s.Width have not ended: with the zero value, until all have. The default is to wait for none. Of repeated options the last one counts. A nil s panics.
func WithSerial(s *Serial, key string) TaskOption {
	if s == nil {
		panic("core: WithSerial: the Serial is nil")
	}
	return func(o *taskOptions) { o.turn = &turn{serial: s, key: key} }
}

// turn is a task's membership in a line.
type turn struct {
	serial *Serial
	key    string

	// Guarded by the shard's lock.
	line *line // nil until the task is accepted
	come bool  // it is the task's turn
}

// line is the tasks of one key that have not ended. Its fields are guarded by the shard's lock.
type line struct {
	tasks   int
	turns   int      // how many have their turn: they run, or wait for a slot
	waiting taskList // behind them
}

// lines is what a manager keeps of a Serial: a line for each key that has tasks.
type lines struct {
	tasks int
	byKey map[string]*line
}

// lineLocked returns the line that t belongs to, or nil if it belongs to none, or to one that has no tasks.
func (sh *shard) lineLocked(t *Task) *line {
	turn := t.options.turn
	if turn == nil || sh.serials[turn.serial] == nil {
		return nil
	}
	return sh.serials[turn.serial].byKey[turn.key]
}

// fullSerialLocked reports whether t's Serial has no room for it, and what is too many.
func (sh *shard) fullSerialLocked(t *Task) (which serialFull, full bool) {
	turn := t.options.turn
	if turn == nil {
		return serialFull{}, false
	}
	s, l, all := turn.serial, sh.lineLocked(t), sh.serials[turn.serial]
	switch {
	case l != nil && s.PerKey > 0 && l.tasks >= s.PerKey:
		return serialFull{tasks: l.tasks, key: turn.key}, true
	case all != nil && s.Total > 0 && all.tasks >= s.Total:
		return serialFull{tasks: all.tasks, total: true}, true
	}
	return serialFull{}, false
}

// joinLineLocked puts t into its line, if it has one, and reports whether it is its turn.
func (sh *shard) joinLineLocked(t *Task) bool {
	turn := t.options.turn
	if turn == nil {
		return true
	}
	turn.line = sh.openLineLocked(turn)
	turn.line.tasks++
	sh.serials[turn.serial].tasks++
	if turn.line.turns == turn.serial.width() {
		turn.line.waiting.push(t)
		return false
	}
	turn.line.turns++
	turn.come = true
	return true
}

func (s *Serial) width() int { return max(s.Width, 1) }

// isNextLocked reports whether it would be t's turn at once.
func (sh *shard) isNextLocked(t *Task) bool {
	line := sh.lineLocked(t)
	return line == nil || line.turns < t.options.turn.serial.width()
}

func (sh *shard) openLineLocked(turn *turn) *line {
	all := sh.serials[turn.serial]
	if all == nil {
		if sh.serials == nil {
			sh.serials = make(map[*Serial]*lines)
		}
		all = &lines{byKey: make(map[string]*line)}
		sh.serials[turn.serial] = all
	}
	if all.byKey[turn.key] == nil {
		all.byKey[turn.key] = &line{}
	}
	return all.byKey[turn.key]
}

// leaveQueueLocked takes out a queued task, whether it waits for its turn or for a slot.
func (sh *shard) leaveQueueLocked(t *Task) {
	turn := t.options.turn
	if turn != nil && !turn.come {
		turn.line.waiting.remove(t)
		return
	}
	sh.queue.remove(t)
	sh.passTurnLocked(t)
}

// passTurnLocked gives t's turn, if it has it, to the next in its line, which now waits for a slot.
func (sh *shard) passTurnLocked(t *Task) {
	turn := t.options.turn
	if turn == nil || !turn.come {
		return
	}
	turn.come = false
	next := turn.line.waiting.first
	if next == nil {
		turn.line.turns--
		return
	}
	turn.line.waiting.remove(next)
	next.options.turn.come = true
	sh.queue.push(next)
}

// leaveLineLocked takes out a task that has ended, and forgets what is empty.
func (sh *shard) leaveLineLocked(t *Task) {
	turn := t.options.turn
	if turn == nil {
		return
	}
	sh.passTurnLocked(t)
	all := sh.serials[turn.serial]
	if turn.line.tasks--; turn.line.tasks == 0 {
		delete(all.byKey, turn.key)
	}
	if all.tasks--; all.tasks == 0 {
		delete(sh.serials, turn.serial)
	}
}

// appendWaitingLocked appends the tasks that wait for their turn.
func (sh *shard) appendWaitingLocked(tasks []*Task) []*Task {
	for _, all := range sh.serials {
		for _, l := range all.byKey {
			tasks = l.waiting.appendTo(tasks)
		}
	}
	return tasks
}

// serialFull is ErrFull with its reason. It is put into words only when somebody reads it.
type serialFull struct {
	tasks int
	key   string // unless it is the total that is full
	total bool
}

func (e *serialFull) Error() string {
	if e.total {
		return fmt.Sprintf("%v: its Serial has %d task(s) that have not ended", ErrFull, e.tasks)
	}
	return fmt.Sprintf("%v: the key %q has %d task(s) that have not ended", ErrFull, e.key, e.tasks)
}

func (e *serialFull) Unwrap() error { return ErrFull }
