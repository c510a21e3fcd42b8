// The contact with the service: one request a second, none while paused or out of sight.
import { clock, el, setText } from './dom.js';

const interval = 1000;
const patience = 12000;

const live = document.getElementById('live');
const banner = document.getElementById('banner');
const pauseButton = document.getElementById('pause');

// follow fetches url() again and again, and calls show with what it got, until show returns true. Call the
// function that it returns to fetch at once.
export function follow(url, show) {
  let timer = 0;
  let paused = false;
  let running = false;
  let again = false;
  let ended = false;
  let lost = null;

  const tick = async () => {
    clearTimeout(timer);
    if (running) {
      again = true;
      return;
    }
    running = true;
    const asked = url();
    const answer = await get(asked);
    running = false;
    lost = answer.error ? { since: lost?.since || new Date(), ...answer } : null;
    if (!lost && !paused) draw(answer, asked);
    if (ended) {
      live.hidden = pauseButton.hidden = true;
      return;
    }
    report({ paused, lost });
    if (!paused && !document.hidden) timer = setTimeout(tick, again ? 0 : interval);
    again = false;
  };

  // An error in the page itself is not a lost contact: it goes to the console.
  const draw = ({ data, status }, asked) => {
    try {
      ended = Boolean(show(data, status, asked));
    } catch (error) {
      reportError(error);
    }
  };

  pauseButton.hidden = false;
  pauseButton.addEventListener('click', () => {
    paused = !paused;
    clearTimeout(timer);
    report({ paused, lost });
    if (!paused) tick();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !paused && !ended) tick();
  });
  tick();
  return tick;
}

async function get(url) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(patience), headers: { Accept: 'application/json' } });
    const text = await response.text();
    if (!response.headers.get('Content-Type')?.startsWith('application/json')) {
      return { error: new Error(`${response.status}: ${text.trim().slice(0, 200)}`), kind: response.status === 503 ? 'slow' : 'error' };
    }
    return { data: JSON.parse(text), status: response.status };
  } catch (error) {
    return { error, kind: error.name === 'TimeoutError' ? 'slow' : 'lost' };
  }
}

// report says whether what is shown is live.
function report({ paused, lost }) {
  pauseButton.setAttribute('aria-pressed', String(paused));
  pauseButton.textContent = paused ? 'Resume' : 'Pause';
  const state = lost ? lost.kind : paused ? 'paused' : 'on';
  if (live.dataset.state !== state) {
    live.dataset.state = state;
    live.replaceChildren(el('span', { class: 'dot', 'aria-hidden': 'true' }), { lost: 'no contact', slow: 'slow', error: 'error', paused: 'paused', on: 'live' }[state]);
  }
  document.body.classList.toggle('stale', Boolean(lost));
  if (lost) say(`${sentences[lost.kind]} since ${clock(lost.since)} (${lost.error.message}). What you see is what was known then.`, lost.kind);
  else if (isLost()) say('', '');
}

const sentences = { lost: 'No contact with the service', slow: 'The service is there, and does not answer in time', error: 'The service answers with an error' };

// say shows a sentence above everything, or none. More is shown after it, and not read aloud each time it changes.
export function say(sentence, kind, more = '') {
  banner.hidden = !sentence;
  setText(document.getElementById('banner-text'), sentence);
  setText(document.getElementById('banner-more'), more);
  banner.dataset.kind = kind;
}

// isLost reports whether the banner says that there is no contact, or no answer.
export const isLost = () => banner.dataset.kind in sentences;
