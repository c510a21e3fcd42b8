package core

import "slices"

// Handles returns the running and queued tasks, oldest first, for example to cancel all of a name. See
// [Manager.Tasks] for descriptions of them, and [Manager.CancelAll].
func (m *Manager) Handles() []*Task {
	m.mu.Lock()
	tasks := m.unfinished()
	m.mu.Unlock()
	slices.SortFunc(tasks, func(a, b *Task) int { return int(a.id) - int(b.id) })
	return tasks
}
