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
export function findings({ finding, stack, leaked }) {
  const parts = [el('p', { class: 'finding', text: finding })];
  if (leaked === true) parts.push(el('p', { class: 'finding leaked' }, el('strong', { text: 'Blocked for ever: ' }), 'nothing that runs can wake it.'));
  if (leaked === false) parts.push(el('p', { class: 'finding', text: 'Not blocked for ever, as far as Go can tell: something that is reachable may wake it.' }));
  return [...parts, stackView(stack)];
}
