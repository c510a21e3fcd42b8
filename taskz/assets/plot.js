// The small plots: SVG that is made once and changed in place.
import { svg, word, clock, duration, count } from './dom.js';

const step = 6; // the width of a slot
const gap = 1;

// accuracy says how exact the quantiles are.
export const accuracy = 'p50 and p95 are read from a histogram, and up to a fifth too low or too high. The maximum is exact.';

export const bad = ['failed', 'timed_out', 'cancelled', 'rejected'];

// outcomePlot shows what ended in each slot: completed upwards, everything else downwards.
export function outcomePlot(slots, height, label) {
  const mid = Math.round(height * 0.62);
  const root = svg('svg', {
    class: 'plot', viewBox: `0 0 ${slots * step} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label,
  });
  const columns = [];
  for (let i = 0; i < slots; i++) {
    const title = svg('title');
    const area = svg('rect', { class: 'area', x: i * step, y: 0, width: step, height });
    const bars = {};
    for (const o of ['completed', ...bad]) bars[o] = svg('rect', { class: o, x: i * step, width: step - gap, y: mid, height: 0 });
    root.append(svg('g', {}, title, area, ...Object.values(bars)));
    columns.push({ title, bars });
  }
  root.append(svg('line', { class: 'axis', x1: 0, x2: slots * step, y1: mid, y2: mid }));
  const update = (over, at, seconds) => {
    updateOutcomes(columns, over, { at, seconds, mid, height });
    root.setAttribute('aria-label', `${label}: ${sums(over) || 'none'}`);
  };
  return { root, update };
}

// sums says how many ended in all.
const sums = (over) => Object.entries(over.ended).map(([o, list]) => `${count(list.reduce((a, b) => a + b, 0))} ${word(o)}`).join(', ');

function updateOutcomes(columns, over, { at, seconds, mid, height }) {
  const value = (o, i) => over.ended[o]?.[i] || 0;
  const down = (i) => bad.reduce((sum, o) => sum + value(o, i), 0);
  // One scale for both, of square roots: few failures are seen beside many successes, and are not taken for many.
  const most = Math.max(1, ...columns.map((_, i) => Math.max(value('completed', i), down(i))));
  const full = Math.min(mid - 1, (height - mid) * Math.sqrt(most / Math.max(1, ...columns.map((_, i) => down(i)))));
  columns.forEach(({ title, bars }, i) => {
    const up = Math.sqrt(value('completed', i) / most) * full;
    bar(bars.completed, mid - up, up);
    let y = mid;
    for (const o of bad) {
      const h = down(i) ? (value(o, i) / down(i)) * Math.sqrt(down(i) / most) * full : 0;
      bar(bars[o], y, h);
      y += h;
    }
    const when = new Date(new Date(at).getTime() - (columns.length - 1 - i) * seconds * 1000);
    const parts = ['completed', ...bad].filter((o) => value(o, i)).map((o) => `${count(value(o, i))} ${word(o)}`);
    const text = `${clock(when)}: ${count(over.started[i])} started, ${parts.join(', ') || 'none ended'}`;
    if (title.textContent !== text) title.textContent = text;
  });
}

function bar(rect, y, height) {
  rect.setAttribute('y', y.toFixed(2));
  // What happened once must not vanish beside a thousand.
  rect.setAttribute('height', (height > 0 ? Math.max(height, 1.2) : 0).toFixed(2));
}

// linePlot shows durations over time, on a logarithmic scale.
export function linePlot(slots, height, label, lines) {
  const root = svg('svg', {
    class: 'plot', viewBox: `0 0 ${slots * step} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label,
  });
  const paths = lines.map((name) => svg('path', { class: `series ${name}` }));
  root.append(svg('line', { class: 'axis', x1: 0, x2: slots * step, y1: height, y2: height }), ...paths);
  const update = (over) => {
    const all = lines.flatMap((name) => over[name]).filter((v) => v > 0);
    const low = Math.log(Math.min(0.001, ...all) / 2);
    const high = Math.log(Math.max(0.002, ...all) * 1.3);
    paths.forEach((path, k) => path.setAttribute('d', steps(over[lines[k]], (v) => height * (1 - (Math.log(v) - low) / (high - low)))));
    root.setAttribute('aria-label', `${label}, at most ${duration(Math.max(0, ...all))}`);
  };
  return { root, update };
}

// steps draws a level in each slot that has a value.
function steps(values, y) {
  let d = '';
  let drawing = false;
  values.forEach((v, i) => {
    if (v <= 0) {
      drawing = false;
      return;
    }
    d += `${drawing ? 'L' : 'M'}${i * step} ${y(v).toFixed(1)}H${(i + 1) * step}`;
    drawing = true;
  });
  return d;
}
