// Small helpers: elements, times and numbers as text. All text goes through textContent.

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  set(node, props);
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function set(node, props) {
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'text') setText(node, value);
    else if (value === false || value === null || value === undefined) node.removeAttribute(key);
    else if (node.getAttribute(key) !== String(value)) node.setAttribute(key, value);
  }
}

// setText changes the text only if it differs, so that a selection survives.
export function setText(node, text) {
  const shown = legible(text);
  if (node.textContent !== shown) node.textContent = shown;
}

// legible replaces characters that change how the text around them is shown, such as U+202E.
export const legible = (text) => String(text).replace(/[\p{Cf}]|(?![\n\t])\p{Cc}/gu, '\uFFFD');

// flat makes one line of a text.
export const flat = (text) => String(text).replace(/[\n\t]/g, ' ');

const svgSpace = 'http://www.w3.org/2000/svg';

export function svg(tag, attrs = {}, ...children) {
  const node = document.createElementNS(svgSpace, tag);
  for (const [key, value] of Object.entries(attrs)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// duration writes seconds in two units at most.
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds === 0) return '0';
  if (seconds < 0.001) return `${Math.max(1, Math.round(seconds * 1e6))} µs`;
  if (seconds < 0.9995) return `${round(seconds * 1e3)} ms`;
  if (seconds < 59.5) return `${Number.isInteger(seconds) ? seconds : round(seconds)} s`;
  const s = Math.round(seconds);
  if (s < 3600) return both(Math.floor(s / 60), 'min', s % 60, 's');
  if (s < 86400) return both(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
  return both(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h');
}

const both = (large, unit, small, smallUnit) => (small ? `${large} ${unit} ${small} ${smallUnit}` : `${large} ${unit}`);

function round(x) {
  return x < 9.95 ? x.toFixed(1) : String(Math.round(x));
}

const pad = (n) => String(n).padStart(2, '0');

const grouped = new Intl.NumberFormat('en').format;

export const count = (n) => grouped(n);

export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

export function clock(time) {
  const t = new Date(time);
  return `${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}`;
}

// moment is the time of day, with the date if that is not today.
export function moment(time) {
  const t = new Date(time);
  const isToday = t.toDateString() === new Date().toDateString();
  return isToday ? clock(t) : `${t.getFullYear()}-${pad(t.getMonth() + 1)}-${pad(t.getDate())} ${clock(t)}`;
}

// The words and shapes of the states: a state is never told by its colour alone.
const shapes = {
  queued: 'M8 3.2a4.8 4.8 0 1 1-.01 0',
  running: 'M5.5 3.2l7 4.8-7 4.8z',
  cancelling: 'M8 3.2a4.8 4.8 0 0 0 0 9.6zM8 3.2a4.8 4.8 0 1 1-.01 0',
  overdue: 'M8 2.2l6.2 11H1.8zM8 6.4v3.2M8 11.4v.1',
  completed: 'M3.4 8.6l3 3 6.2-7',
  failed: 'M4 4l8 8M12 4l-8 8',
  timed_out: 'M8 2.8a5.2 5.2 0 1 1-.01 0M8 5.2V8.2l2.2 1.4',
  cancelled: 'M8 2.8a5.2 5.2 0 1 1-.01 0M4.4 11.6l7.2-7.2',
  rejected: 'M12.5 8H4M7.4 4.4L3.8 8l3.6 3.6',
  abandoned: 'M3.5 3.5h9v9h-9zM6 8h4',
};
const filled = new Set(['running']);
const words = { timed_out: 'timed out', rejected: 'refused' };

// stateOf is the state as it is shown: that a task does not stop is one of its own.
export const stateOf = (task) => (task.overdue ? 'overdue' : task.state);

export const word = (state) => words[state] || state;

export function shape(state) {
  const path = svg('path', { d: shapes[state] || shapes.queued });
  return svg('svg', { viewBox: '0 0 16 16', class: filled.has(state) ? 'shape full' : 'shape', 'aria-hidden': 'true' }, path);
}

// chip shows a state.
export function chip(state) {
  return el('span', { class: `chip ${state}`, 'data-state': state }, shape(state), word(state));
}

// setChip replaces the state of a chip if it has changed.
export function setChip(node, state) {
  if (node.dataset.state !== state) node.replaceWith(chip(state));
}

// attributes shows key=value of each attribute.
export function attributes(context) {
  const list = el('span', { class: 'attrs' });
  for (const [key, value] of Object.entries(context)) {
    list.append(el('span', { class: 'attr' }, el('span', { class: 'key', text: flat(`${key}=`) }), el('bdi', { text: flat(value) })), ' ');
  }
  return list;
}

export function traceLink(task) {
  if (!task.trace_id) return null;
  if (!task.trace_url) return el('code', { class: 'trace', title: 'trace id', text: task.trace_id });
  return el('a', { class: 'trace', href: task.trace_url, title: task.trace_id, rel: 'noreferrer', target: '_blank' }, 'trace',
    el('span', { class: 'unseen', text: flat(` of ${task.name} ${task.id}, in a new tab`) }));
}

// timeBar shows how much of the timeout has passed.
export function timeBar() {
  const fill = el('span', { class: 'fill' });
  return el('span', { class: 'bar', 'aria-hidden': 'true' }, fill);
}

export function setTimeBar(bar, ran, timeout) {
  bar.hidden = !timeout;
  if (!timeout) return;
  const share = (ran || 0) / timeout;
  bar.firstChild.style.inlineSize = `${Math.min(100, share * 100).toFixed(1)}%`;
  bar.classList.toggle('over', share >= 1);
}
