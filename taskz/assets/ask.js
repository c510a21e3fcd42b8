// Cancelling: it is asked for, in words that say what is cancelled, before anything is sent.
const dialog = document.getElementById('ask');
const yes = document.getElementById('ask-yes');
const no = document.getElementById('ask-no');

no.addEventListener('click', () => dialog.close());

// askToCancel asks, and cancels if the answer is yes. It returns a sentence on what came of it, or "".
export function askToCancel({ title, text, label, form }) {
  document.getElementById('ask-title').textContent = title;
  document.getElementById('ask-text').textContent = text;
  yes.textContent = label;
  dialog.showModal();
  return new Promise((resolve) => {
    let sent = false;
    const confirmed = () => {
      sent = true;
      dialog.close();
      send(form).then(resolve);
    };
    yes.addEventListener('click', confirmed, { once: true });
    dialog.addEventListener('close', () => {
      yes.removeEventListener('click', confirmed);
      if (!sent) resolve('');
    }, { once: true });
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
