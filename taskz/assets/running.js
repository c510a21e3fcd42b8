// What runs and waits now.
import { el, setText, flat, stateOf, chip, setChip, attributes, traceLink, timeBar, setTimeBar, duration, count, plural } from './dom.js';
import { steady } from './rows.js';

const columns = [['name', 'Task'], ['state', 'State'], ['age', 'Age'], ['timeout', 'Timeout'], ['', 'For'], ['', 'Trace']];

export function runningTable(ask, asked, cancelAll) {
  const body = el('tbody', { id: 'running' });
  const heads = columns.map(([key, label]) => head(key, label, ask, asked));
  const note = el('p', { class: 'note' });
  const hold = el('p', { class: 'note hold' });
  const cancel = el('button', { type: 'button', class: 'quiet danger', hidden: '', onclick: () => cancelAll(asked.name) });
  const more = el('button', { type: 'button', class: 'more', hidden: '', onclick: () => ask({ limit: Math.min(1000, asked.limit * 4) }) });
  const table = el('table', { class: 'tasks' }, el('caption', { class: 'unseen', text: 'Running and queued tasks' }),
    el('thead', {}, el('tr', {}, ...heads.map((h) => h.root))), body);
  const root = el('section', { 'aria-labelledby': 'running-title' },
    el('div', { class: 'heading' }, el('h2', { id: 'running-title', text: 'Running now' }), note, hold, cancel), table, more);
  const rows = steady(body, { key: (t) => t.id, make, update: updateRow });

  const update = (data, _, isAnswer) => {
    const { held, waiting } = rows.show(data.running.tasks, isAnswer);
    heads.forEach((h) => h.show());
    const list = data.running;
    setText(note, summary(list, asked));
    setText(hold, held && waiting ? `${plural(waiting, 'change waits', 'changes wait')} while you are in the table.` : '');
    table.hidden = body.children.length === 0;
    cancel.hidden = !(data.can_cancel && asked.name && list.matching);
    more.hidden = list.tasks.length >= list.matching || asked.limit >= 1000;
    setText(more, `List ${count(Math.min(1000, asked.limit * 4, list.matching))}`);
    setText(cancel, `Cancel all ${asked.name}…`);
  };
  return { root, update, isHeld: rows.isHeld };
}

function summary({ total, matching, tasks }, asked) {
  if (!total) return 'Nothing runs, and nothing waits.';
  if (!matching) return `None of the ${count(total)} match.`;
  const which = { '': 'oldest', age: 'oldest', '-age': 'youngest' }[asked.sort] || 'first';
  const cut = tasks.length < matching ? `, the ${count(tasks.length)} ${which} are listed` : '';
  return matching < total ? `${count(matching)} of ${count(total)} match${cut}` : `${count(total)}${cut}`;
}

// head is the head of a column, with a button if one can sort by it.
function head(key, label, ask, asked) {
  if (!key) return { root: el('th', { scope: 'col', text: label }), show: () => {} };
  const arrow = el('span', { class: 'arrow', 'aria-hidden': 'true' });
  const isSorted = () => (asked.sort || 'age').replace('-', '') === key;
  const button = el('button', {
    type: 'button', class: 'sort', 'data-sort': key,
    onclick: () => ask({ sort: isSorted() && !asked.sort.startsWith('-') ? `-${key}` : key === 'age' ? '' : key }),
  }, label, arrow);
  const root = el('th', { scope: 'col' }, button);
  const show = () => {
    const down = asked.sort.startsWith('-');
    root.setAttribute('aria-sort', !isSorted() ? 'none' : down ? 'descending' : 'ascending');
    setText(arrow, !isSorted() ? '' : down ? ' ↑' : ' ↓');
  };
  return { root, show };
}

function make(task) {
  const bar = timeBar();
  const age = el('span', { class: 'number' });
  const timeout = el('span', { class: 'number' });
  const state = el('td', { 'data-label': 'State' }, chip(stateOf(task)));
  const node = el('tr', { 'data-id': task.id },
    el('th', { scope: 'row', class: 'what' }, el('a', { href: String(task.id) }, el('bdi', { text: flat(task.name) }), el('span', { class: 'id', text: ` #${task.id}` }))),
    state, el('td', { 'data-label': 'Age' }, age), el('td', { 'data-label': 'Timeout', class: 'timeout' }, el('span', { class: 'inline' }, bar, timeout)),
    el('td', { 'data-label': 'For', class: 'for' }, attributes(task.context)),
    el('td', { 'data-label': 'Trace', class: 'trace-cell' }, traceLink(task)));
  return { node, bar, age, timeout, state, hasTrace: Boolean(task.trace_id) };
}

function updateRow(row, task) {
  setChip(row.state.firstChild, stateOf(task));
  setText(row.age, duration(task.age_seconds));
  setText(row.timeout, task.timeout ? `${duration(task.run_seconds || 0)} of ${duration(task.timeout)}` : 'none');
  setTimeBar(row.bar, task.run_seconds, task.timeout);
  row.node.classList.toggle('late', Boolean(task.overdue));
  if (!row.hasTrace && task.trace_id) {
    row.hasTrace = true;
    row.node.lastChild.replaceChildren(traceLink(task));
  }
}
