// The tasks by name, and each name over time.
import { el, setText, flat, count, duration, plural } from './dom.js';
import { outcomePlot, linePlot, bad, accuracy } from './plot.js';
import { steady } from './rows.js';

const slots = 40;
const heads = ['Name', 'Running', 'Queued', 'Oldest', 'Ended', 'Not completed', 'Duration and wait', 'Duration p50 · p95 · max', 'Wait p50 · p95 · max'];
const plots = new Set(['Ended', 'Duration and wait']);

export function namesTable(ask) {
  const body = el('tbody', { id: 'names' });
  const note = el('p', { class: 'note' });
  const table = el('table', { class: 'names' }, el('caption', { class: 'unseen', text: 'Tasks by name' }),
    el('thead', {}, el('tr', {}, ...heads.map((text) => el('th', { scope: 'col', text, title: text.includes('p50') && accuracy })))), body);
  const root = el('section', { 'aria-labelledby': 'names-title' },
    el('div', { class: 'heading' }, el('h2', { id: 'names-title', text: 'By name' }), note), el('div', { class: 'wide' }, table));
  let data = null;
  const rows = steady(body, { key: (n) => n.name, make: (n) => make(n, ask), update: (row, n) => updateRow(row, n, data) });
  const update = (latest, asked) => {
    data = latest;
    rows.show(latest.names);
    for (const row of body.children) row.classList.toggle('chosen', row.dataset.name === asked.name);
    table.parentNode.hidden = body.children.length === 0;
    setText(note, latest.names_cut ? `${plural(latest.names_cut, 'name', 'names')} with fewer tasks are not listed.`
      : latest.names.length ? '' : 'No task yet.');
  };
  return { root, update };
}

function make(n, ask) {
  const cells = heads.slice(1).map((label) => el('td', { 'data-label': label, class: plots.has(label) ? 'plot-cell' : 'number' }));
  const plot = outcomePlot(slots, 26, `${n.name}, ended in the last ten minutes`);
  const times = linePlot(slots, 26, `${n.name}, p95 of duration and wait in the last ten minutes`, ['run_p95', 'wait_p95']);
  cells[3].append(plot.root);
  cells[5].append(times.root);
  const node = el('tr', { 'data-name': n.name },
    el('th', { scope: 'row' }, el('button', { type: 'button', class: 'link', title: 'Show the tasks of this name', onclick: () => ask({ name: n.name }) }, el('bdi', { text: flat(n.name) }))),
    ...cells);
  return { node, cells, plot, times };
}

function updateRow({ cells, plot, times }, n, data) {
  cells[0].classList.toggle('some', n.overdue > 0);
  const over = n.over_time;
  const values = [`${count(n.running)}${n.overdue ? ` (${count(n.overdue)} overdue)` : ''}`, count(n.queued), n.running + n.queued ? duration(n.oldest_seconds) : '–', null];
  if (over) {
    plot.update(over, data.at, data.slot_seconds);
    times.update(over);
    const not = bad.reduce((sum, o) => sum + (over.ended[o] || []).reduce((a, b) => a + b, 0), 0);
    values.push(count(not), null, quantiles(over.run), quantiles(over.wait));
    cells[4].classList.toggle('some', not > 0);
  } else {
    values.push('0', null, '–', '–');
  }
  for (const one of [plot, times]) one.root.style.visibility = over ? '' : 'hidden';
  values.forEach((text, i) => text !== null && setText(cells[i], text));
}

const quantiles = ({ p50, p95, max }) => (max ? [p50, p95, max].map(duration).join(' · ') : '–');
