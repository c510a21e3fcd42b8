// The page of one task.
import { el, setText, flat, legible, stateOf, chip, duration, clock, moment, timeBar, setTimeBar, traceLink, plural } from './dom.js';
import { follow, say, isLost } from './contact.js';
import { askToCancel } from './ask.js';
import { stackView, findings } from './stack.js';

export function showOne(main, id) {
  let view = null;
  let refresh = () => {};
  let instance = new URLSearchParams(location.search).get('instance') || '';
  refresh = follow(() => `${id}?${new URLSearchParams({ format: 'json', instance })}`, (task, status) => {
    if (view && status === 404) {
      say('This task is not known any more. What you see is what was known last.', 'gone', sentence(task.error));
      return true;
    }
    if (status === 404) {
      main.replaceChildren(el('section', { class: 'missing' }, el('h2', { text: `Task ${id} is not known` }), el('p', { text: sentence(task.error) }),
        el('p', {}, el('a', { href: './', text: 'All tasks' }))));
      return true;
    }
    if (!view) {
      instance = task.instance; // after a restart the id is that of another task
      view = taskView(task, () => refresh());
      main.replaceChildren(view.root);
    }
    document.title = legible(`${task.name} #${task.id} – ${task.title}`);
    setText(document.getElementById('home'), task.title);
    if (!isLost()) say('', '');
    view.update(task);
    return task.done; // it does not change any more
  });
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function taskView(first, refresh) {
  let task = first;
  const state = el('span', {});
  const facts = el('dl', { class: 'facts' });
  const bar = timeBar();
  const problem = el('section', { class: 'problem', hidden: '' });
  const attrs = el('dl', { class: 'facts attributes' });
  const lines = el('section', { hidden: '' });
  const where = whereSection(() => task);
  const said = el('p', { class: 'said', role: 'status' });
  const cancel = el('button', {
    type: 'button', class: 'danger', hidden: '',
    onclick: async () => {
      setText(said, await askToCancel({
        title: `Cancel ${task.name} #${task.id}?`, label: `Cancel #${task.id}`,
        text: `${Object.entries(task.context).map(([k, v]) => `${k}=${v}`).join(', ') || 'It has no attributes.'} The task is told to stop, and stops when it looks at its context.`,
        form: { id: task.id, name: task.name, instance: task.instance },
      }));
      refresh();
    },
  }, 'Cancel this task…');
  const root = el('article', { class: 'one' },
    el('p', { class: 'back' }, el('a', { href: './', text: '← All tasks' })),
    el('div', { class: 'heading' }, el('h2', {}, el('bdi', { text: flat(first.name) }), el('span', { class: 'id', text: ` #${first.id}` })), state, cancel),
    said, bar, facts,
    el('section', { 'aria-labelledby': 'for-title' }, el('h3', { id: 'for-title', text: 'For' }), attrs),
    problem, where.root, lines);

  const update = (latest) => {
    task = latest;
    if (state.dataset.state !== stateOf(task)) {
      state.dataset.state = stateOf(task);
      state.replaceChildren(chip(stateOf(task)));
    }
    setTimeBar(bar, task.run_seconds, task.timeout);
    setFacts(facts, factsOf(task));
    setFacts(attrs, Object.entries(task.context).length ? Object.entries(task.context) : [['', 'no attributes']]);
    showProblem(problem, task);
    showLines(lines, task);
    where.update(task);
    cancel.hidden = !(task.can_cancel && !task.ended_at);
  };
  return { root, update };
}

function factsOf(task) {
  return [
    ['Created', `${moment(task.created_at)}, ${duration(task.age_seconds)} ago`],
    ['Waited', duration(task.queue_seconds)],
    [task.ended_at ? 'Ran' : 'Has run', task.run_seconds === null ? 'not at all' : duration(task.run_seconds)],
    ['Timeout', task.timeout ? duration(task.timeout) : 'none'],
    task.cause && ['Cause', { timeout: 'its timeout', cancel: 'somebody cancelled it', shutdown: 'the shutdown', context: 'its context ended' }[task.cause] || task.cause],
    task.ended_at && [task.state === 'abandoned' ? 'Left behind' : 'Ended', moment(task.ended_at)],
    task.trace_id && ['Trace', traceLink(task)],
  ].filter(Boolean);
}

// setFacts shows pairs, and changes only what has changed.
function setFacts(list, pairs) {
  const names = pairs.map(([name]) => name).join('\n');
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    list.replaceChildren(...pairs.map(([name, value]) => el('div', {}, el('dt', { text: flat(name) }), el('dd', {}, typeof value === 'string' ? el('bdi', { text: flat(value) }) : value))));
    return;
  }
  pairs.forEach(([, value], i) => typeof value === 'string' && setText(list.children[i].lastChild.firstChild, flat(value)));
}

function showProblem(root, task) {
  if (root.dataset.error === task.error) return;
  root.dataset.error = task.error || '';
  root.hidden = !task.error;
  if (!task.error) return;
  root.replaceChildren(el('h3', { text: task.stack ? 'Panic' : 'Error' }), el('pre', { class: 'error-text' }, el('bdi', { text: task.error })),
    task.stack ? stackView(task.stack) : '');
}

function showLines(root, task) {
  const all = task.lines || [];
  const key = all.length ? `${all.length} ${task.lines_dropped} ${all[all.length - 1].at}` : '';
  if (root.dataset.key === key) return;
  root.dataset.key = key;
  root.hidden = all.length === 0;
  const earlier = task.lines_dropped ? el('p', { class: 'note', text: `${plural(task.lines_dropped, 'earlier line is', 'earlier lines are')} not kept.` }) : '';
  root.replaceChildren(el('h3', { text: 'What it logged' }), earlier, el('ol', { class: 'log' }, ...all.map((l) => el('li', {},
    el('time', { datetime: l.at, text: clock(l.at) }), el('span', { class: `level ${l.level.toLowerCase().replace(/\W.*/, '')}`, text: l.level }), el('bdi', { text: flat(l.text) })))));
}

// whereSection shows where a running task is, when asked.
function whereSection(current) {
  const out = el('div', { 'aria-live': 'polite' });
  const look = el('button', { type: 'button', id: 'look', onclick: () => fetchStack({}) }, 'Show its stack');
  const leak = el('button', { type: 'button', id: 'leak', onclick: () => fetchStack({ leaks: 1 }) }, 'Is it blocked for ever?');
  const note = el('p', { class: 'note' });
  const root = el('section', { class: 'where' }, el('h3', { text: 'Where is it?' }), el('div', { class: 'buttons' }, look, leak), note, out);
  const fetchStack = async (more) => {
    setText(note, 'Looking …');
    try {
      const { id, instance } = current();
      const response = await fetch(`stack?${new URLSearchParams({ id, instance, format: 'json', ...more })}`, { method: 'POST' });
      const text = await response.text();
      const answer = text.startsWith('{') ? JSON.parse(text) : { error: text };
      setText(note, answer.stack ? `As it was at ${clock(new Date())}.` : '');
      out.replaceChildren(...(answer.stack ? findings(answer) : [el('p', { text: answer.error })]));
    } catch (error) {
      setText(note, `No stack: ${error.message}`);
    }
  };
  const update = (task) => {
    root.hidden = Boolean(task.ended_at) && task.state !== 'abandoned' && !out.firstChild;
    look.disabled = leak.disabled = task.run_seconds === null || Boolean(task.ended_at);
    leak.hidden = !task.can_find_leaks;
    if (!out.firstChild && !note.textContent) {
      setText(note, task.run_seconds === null ? 'It has not started.'
        : `The whole process stops for a moment to write it down${task.can_find_leaks ? '; the second button costs a garbage collection as well' : ''}.`);
    }
  };
  return { root, update };
}
