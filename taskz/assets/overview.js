// The figures at the top, and what happened in the last minutes.
import { el, setText, count, duration, plural, shape } from './dom.js';
import { outcomePlot, linePlot, bad, accuracy } from './plot.js';

const slots = 40;

export function overview(ask) {
  const now = {
    running: figure('running'), queued: figure('queued'), oldest: figure('oldest run'),
  };
  const total = {};
  for (const o of ['completed', ...bad]) total[o] = figure(o === 'rejected' ? 'refused' : o.replace('_', ' '), o);
  const overdue = el('div', { class: 'overdue-note', hidden: '' },
    shape('overdue'), el('p', {}), el('button', { type: 'button', onclick: () => ask({ state: 'overdue', q: '', name: '' }), text: 'Show' }));
  const ended = outcomePlot(slots, 64, 'Tasks that ended in the last ten minutes');
  const times = linePlot(slots, 64, 'Duration and wait in the last ten minutes', ['run_p95', 'wait_p95']);
  const run = el('p', { class: 'note', title: accuracy });
  const root = el('section', { class: 'overview', 'aria-label': 'Overview' },
    el('div', { class: 'figures' },
      el('dl', { class: 'now' }, ...Object.values(now).map((f) => f.root)),
      el('dl', { class: 'since' }, ...Object.values(total).map((f) => f.root))),
    overdue,
    el('div', { class: 'plots' },
      el('figure', {}, el('figcaption', {}, 'Ended, last ten minutes ', el('span', { class: 'legend' }, ...legend())), ended.root),
      el('figure', {}, el('figcaption', {}, 'p95 of ', el('span', { class: 'swatch run', text: 'duration' }), ' and ',
        el('span', { class: 'swatch wait', text: 'wait' })), times.root, run)));

  const update = (data, isHeld) => {
    const s = data.stats;
    now.running.show(count(s.running));
    now.queued.show(count(s.queued));
    now.oldest.show(s.running ? duration(s.oldest_seconds) : '–');
    for (const [o, f] of Object.entries(total)) f.show(count(s[o]), s[o] > 0);
    const late = Math.max(s.overdue, data.names.reduce((sum, n) => sum + n.overdue, 0));
    if (!isHeld) overdue.hidden = late === 0; // it would move the rows that somebody reads
    setText(overdue.querySelector('p'), `${plural(late, 'task does', 'tasks do')} not stop: cancelled or timed out more than five seconds ago.`);
    ended.update(data.over_time, data.at, data.slot_seconds);
    times.update(data.over_time);
    setText(run, quantiles(data.over_time));
  };
  return { root, update };
}

const legend = () => [el('span', { class: 'swatch completed', text: '▲ completed' }), ' ',
  el('span', { class: 'swatch failed', text: '▼ failed' }), ' ', el('span', { class: 'swatch timed_out', text: 'timed out' }), ' ',
  el('span', { class: 'swatch cancelled', text: 'cancelled' }), ' ', el('span', { class: 'swatch rejected', text: 'refused' })];

function quantiles({ run, wait }) {
  if (!run.max && !wait.max) return 'Nothing has ended in this time.';
  return `Duration: half below ${duration(run.p50)}, 95 % below ${duration(run.p95)}, at most ${duration(run.max)}. `
    + `Wait: 95 % below ${duration(wait.p95)}, at most ${duration(wait.max)}.`;
}

function figure(label, state) {
  const value = el('dd', { text: '–' });
  const root = el('div', { class: state ? `figure ${state}` : 'figure' }, el('dt', {}, state ? shape(state) : null, label), value);
  return {
    root,
    show: (text, isSome = true) => {
      setText(value, text);
      root.classList.toggle('none', !isSome);
    },
  };
}
