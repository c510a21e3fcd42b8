// Stacks, made legible.
import { el } from './dom.js';

// stackView shows a stack with the frames of the program brought out.
export function stackView(stack) {
  const pre = el('pre', { class: 'stack', tabindex: 0, 'aria-label': 'stack' });
  for (const line of stack.trimEnd().split('\n')) {
    const kind = line.startsWith('\t') ? 'file' : isOwn(line) ? 'own' : 'other';
    pre.append(el('span', { class: kind, text: `${line}\n` }));
  }
  return pre;
}

// isOwn tells the calls of the program and its libraries from those of Go and of this library.
function isOwn(line) {
  if (/^(goroutine |created by )/.test(line)) return false;
  if (/^github\.com\/afterspan\/afterspan\/(core|otelmw|taskz)\./.test(line)) return false;
  const path = line.split('/')[0];
  return line.startsWith('main.') || (line.includes('/') && path.includes('.'));
}

// findings says in a sentence where a task is, before the stack.
export function findings({ stack, leaked }) {
  const [head, ...lines] = stack.split('\n');
  const state = /\[([^\],]+)(?:, ([^\]]+))?\]/.exec(head);
  const at = lines.findIndex((line) => !line.startsWith('\t') && isOwn(line));
  const parts = [];
  const reason = state ? state[1].replace(' (leaked)', '') : 'unknown';
  const since = state?.[2]?.replace(/,.*/, '');
  const running = /^(running|runnable|syscall)/.test(reason);
  parts.push(el('p', { class: 'finding' }, running ? 'It is busy' : 'It waits: ', running ? '' : el('strong', { text: reason }),
    since && !running ? ` for ${since}` : '',
    at < 0 ? '' : ' in ', at < 0 ? '' : el('code', { text: shorten(lines[at]) }), at < 0 ? '.' : ` at ${place(lines[at + 1])}.`));
  if (leaked === true) parts.push(el('p', { class: 'finding leaked' }, el('strong', { text: 'Blocked for ever: ' }), 'nothing that runs can wake it.'));
  if (leaked === false) parts.push(el('p', { class: 'finding', text: 'Not blocked for ever, as far as Go can tell: something that is reachable may wake it.' }));
  return [...parts, stackView(stack)];
}

// shorten drops the directories of a package and the arguments.
const shorten = (call) => call.replace(/\([^()]*\)$/, '').replace(/^.*\//, '');

const place = (line = '') => line.trim().replace(/ \+0x[0-9a-f]+$/, '').replace(/^.*\/([^/]+\/[^/]+)$/, '$1');
