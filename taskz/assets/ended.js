// What ended: a table for each outcome, of which one is shown.
import { el, setText, flat, attributes, traceLink, duration, count, word, shape } from './dom.js';
import { steady } from './rows.js';

const order = ['failed', 'timed_out', 'cancelled', 'rejected', 'abandoned', 'completed'];

export function endedTables() {
  let chosen = '';
  const body = el('tbody', { id: 'ended' });
  const note = el('p', { class: 'note' });
  const tabs = order.map((o) => tab(o, () => {
    chosen = o;
    redraw(true);
  }));
  const table = el('table', { class: 'tasks' }, el('caption', { class: 'unseen', text: 'Ended tasks' }),
    el('thead', {}, el('tr', {}, ...['Task', 'Ended', 'Ran', 'Error', 'For', 'Trace'].map((text) => el('th', { scope: 'col', text })))), body);
  const panel = el('div', { role: 'tabpanel', id: 'ended-panel' }, note, table);
  const list = el('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Outcomes', onkeydown: (e) => move(e, tabs) }, ...tabs.map((t) => t.root));
  const root = el('section', { 'aria-labelledby': 'ended-title' },
    el('div', { class: 'heading' }, el('h2', { id: 'ended-title', text: 'Ended' }), list), panel);
  let rows = null;
  let shown = '';
  let latest = null;

  const redraw = (isAnswer) => {
    const now = chosen || order.find((o) => latest.ended[o].matching) || 'failed';
    if (now !== shown) {
      body.replaceChildren();
      const fresh = body.cloneNode(false);
      table.replaceChild(fresh, table.tBodies[0]);
      rows = steady(fresh, { key: (t) => t.id || t.created_at + t.name, make, update: updateRow });
      shown = now;
    }
    tabs.forEach((t) => t.update(latest.ended[t.outcome], t.outcome === now));
    const l = latest.ended[now];
    rows.show(l.tasks, isAnswer);
    table.hidden = l.tasks.length === 0;
    setText(note, summary(l, now, latest.kept));
  };
  return {
    root,
    isHeld: () => rows?.isHeld() || false,
    update: (data, _, isAnswer) => {
      latest = data;
      redraw(isAnswer);
    },
  };
}

function summary({ total, matching, tasks }, outcome, kept) {
  const long = `The last ${count(kept.tasks)} of each outcome are kept, for ${duration(kept.seconds)}.`;
  if (!total) return `No task ${outcome === 'rejected' ? 'was refused' : `has ${word(outcome)}`.replace('has cancelled', 'was cancelled').replace('has abandoned', 'was abandoned')} lately. ${long}`;
  if (!matching) return `None of the ${count(total)} match. ${long}`;
  const cut = tasks.length < matching ? `, the last ${count(tasks.length)} are listed` : '';
  return `${matching < total ? `${count(matching)} of ${count(total)} match` : count(total)}${cut}. ${long}`;
}

function tab(outcome, choose) {
  const number = el('span', { class: 'number' });
  const root = el('button', { type: 'button', role: 'tab', class: `tab ${outcome}`, 'aria-controls': 'ended-panel', 'data-outcome': outcome, onclick: choose },
    shape(outcome), ` ${word(outcome)} `, number);
  const update = (list, isChosen) => {
    setText(number, count(list.matching));
    root.classList.toggle('none', !list.matching);
    root.setAttribute('aria-selected', String(isChosen));
    root.tabIndex = isChosen ? 0 : -1;
  };
  return { root, outcome, update };
}

// move follows the arrow keys from tab to tab.
function move(e, tabs) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
  if (!step) return;
  const at = tabs.findIndex((t) => t.root === document.activeElement);
  const next = tabs[(at + step + tabs.length) % tabs.length].root;
  next.focus();
  next.click();
}

function make(task) {
  const ago = el('span', { class: 'number' });
  const name = el('bdi', { text: flat(task.name) });
  const what = task.id ? el('a', { href: String(task.id) }, name, el('span', { class: 'id', text: ` #${task.id}` })) : name;
  const node = el('tr', { 'data-id': task.id },
    el('th', { scope: 'row', class: 'what' }, what), el('td', { 'data-label': 'Ended' }, ago),
    el('td', { 'data-label': 'Ran' }, el('span', { class: 'number', text: duration(task.run_seconds) })),
    el('td', { 'data-label': 'Error', class: 'error' }, el('bdi', { text: flat(task.error || '') })),
    el('td', { 'data-label': 'For', class: 'for' }, attributes(task.context)),
    el('td', { 'data-label': 'Trace', class: 'trace-cell' }, traceLink(task)));
  return { node, ago };
}

function updateRow(row, task) {
  const since = task.age_seconds - task.queue_seconds - (task.run_seconds || 0);
  setText(row.ago, since < 1 ? 'now' : `${duration(Math.floor(since))} ago`);
}
