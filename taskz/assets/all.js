// The page of all tasks.
import { el, setText, count, plural, word } from './dom.js';
import { follow, say, isLost } from './contact.js';
import { overview } from './overview.js';
import { namesTable } from './names.js';
import { runningTable } from './running.js';
import { endedTables } from './ended.js';
import { askToCancel } from './ask.js';

const keys = ['q', 'name', 'state', 'sort'];

// asked is what the reader wants to see. It is in the address, so that it can be passed on.
const asked = Object.fromEntries(keys.map((key) => [key, new URLSearchParams(location.search).get(key) || '']));
asked.limit = 50;

function parameters() {
  return new URLSearchParams(keys.map((key) => [key, asked[key]]).filter(([, value]) => value));
}

export function showAll(main) {
  let latest = null;
  let shown = ''; // the address of what is shown
  let refresh = () => {};
  const ask = (change) => {
    Object.assign(asked, change);
    const query = parameters().toString();
    history.replaceState(null, '', query ? `?${query}` : location.pathname);
    filter.show();
    refresh();
  };
  const filter = filterBar(ask);
  const said = el('p', { class: 'said', role: 'status' });
  const cancelAll = async (name) => {
    const n = latest.names.find((one) => one.name === name);
    const tasks = plural((n?.running || 0) + (n?.queued || 0), 'task', 'tasks');
    setText(said, await askToCancel({
      title: `Cancel all ${name}?`, text: `${tasks} of that name are told to stop, running and queued. A task stops when it looks at its context.`,
      label: `Cancel all ${name}`, form: { name, instance: latest.instance },
    }));
    refresh();
  };
  const top = overview(ask);
  const names = namesTable(ask);
  const running = runningTable(ask, asked, cancelAll);
  const ended = endedTables();
  main.replaceChildren(top.root, filter.root, said, names.root, running.root, ended.root);
  filter.show();

  refresh = follow(() => {
    const query = parameters();
    query.set('limit', asked.limit);
    query.set('format', 'json');
    return `?${query}`;
  }, (data, status, url) => {
    const isAnswer = url !== shown;
    shown = url;
    latest = data;
    document.title = title(data);
    setText(document.getElementById('home'), data.title);
    announce(data);
    top.update(data, !isAnswer && (running.isHeld() || ended.isHeld()));
    for (const part of [names, running, ended]) part.update(data, asked, isAnswer);
    return false;
  });
}

function title(data) {
  const { running, overdue } = data.stats;
  return `${overdue ? `${count(overdue)} overdue, ` : ''}${count(running)} running – ${data.title}`;
}

function announce(data) {
  if (data.draining) {
    const left = data.stats.running + data.stats.queued;
    if (left) say('Shutting down: new tasks are refused.', 'draining', `${plural(left, 'task has', 'tasks have')} still to end.`);
    else say('Shut down: all tasks have ended, and new ones are refused.', 'draining');
  } else if (!isLost()) say('', '');
}

// filterBar is the search field and the state.
function filterBar(ask) {
  let timer = 0;
  const search = el('input', {
    type: 'search', id: 'q', autocomplete: 'off', spellcheck: 'false', maxlength: 500, placeholder: 'name, id, or attribute: order_id=o-7',
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => ask({ q: search.value }), 150);
    },
  });
  const state = el('select', { id: 'state', onchange: () => ask({ state: state.value }) },
    el('option', { value: '', text: 'every state' }),
    ...['queued', 'running', 'cancelling', 'overdue'].map((s) => el('option', { value: s, text: word(s) })));
  const name = el('button', { type: 'button', class: 'name-filter', onclick: () => ask({ name: '' }) });
  const root = el('form', { class: 'filter', role: 'search', onsubmit: (e) => e.preventDefault() },
    el('label', { class: 'unseen', for: 'q', text: 'Search' }), search,
    el('label', { class: 'unseen', for: 'state', text: 'State' }), state, name,
    el('nav', { 'aria-label': 'Sections' }, el('a', { href: '#names-title', text: 'By name' }),
      el('a', { href: '#running-title', text: 'Running' }), el('a', { href: '#ended-title', text: 'Ended' })));
  const show = () => {
    if (document.activeElement !== search) search.value = asked.q;
    state.value = asked.state;
    name.hidden = !asked.name;
    setText(name, `${asked.name} ×`);
    name.setAttribute('aria-label', `Show every name again, not only ${asked.name}`);
  };
  return { root, show };
}

