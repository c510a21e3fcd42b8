// Cancelling: it is asked for, in words that say what is cancelled, before anything is sent.
import { setText, flat } from './dom.js';

const dialog = document.getElementById('ask');
const yes = document.getElementById('ask-yes');
const no = document.getElementById('ask-no');

// pending is what is being asked: the form to send, and whom to tell what came of it.
let pending = null;

function answer(isYes) {
  const asked = pending;
  pending = null;
  dialog.close();
  if (asked) asked.resolve(isYes ? send(asked.form) : '');
}

yes.addEventListener('click', () => answer(true));
no.addEventListener('click', () => answer(false));
// The event comes a moment after the dialog was closed, by Escape too. By then it may be open again.
dialog.addEventListener('close', () => {
  if (!dialog.open) answer(false);
});

// askToCancel asks, and cancels if the answer is yes. It returns a sentence on what came of it, or "".
export function askToCancel({ title, text, label, form }) {
  answer(false);
  setText(document.getElementById('ask-title'), flat(title));
  setText(document.getElementById('ask-text'), flat(text));
  setText(yes, flat(label));
  dialog.showModal();
  return new Promise((resolve) => {
    pending = { form, resolve };
  });
}

async function send(form) {
  try {
    const response = await fetch('cancel', { method: 'POST', body: new URLSearchParams(form) });
    const text = await response.text();
    if (!response.ok) return `Not cancelled: ${text.trim()}`;
    const n = JSON.parse(text).cancelled;
    return n === 1 ? 'One task was told to stop.' : `${n} tasks were told to stop.`;
  } catch (error) {
    return `Not cancelled: ${error.message}`;
  }
}
