// A table body whose rows keep their places while somebody reads them.

// steady returns show, which shows items, and isHeld. Rows are known by key: a row that stays is changed in
// place. While the pointer is over the rows, or the keyboard is in them, nothing is inserted, moved or
// removed, unless the items are the answer to what the reader has just asked for. What is gone is marked.
export function steady(body, { key, make, update }) {
  const rows = new Map();
  let pointed = false;
  body.addEventListener('pointerenter', (e) => { pointed = e.pointerType === 'mouse'; });
  body.addEventListener('pointerleave', () => { pointed = false; });
  const isHeld = () => pointed || body.querySelector(':focus-visible') !== null;

  const show = (items, isAnswer) => {
    const held = !isAnswer && isHeld() && rows.size > 0;
    const fresh = new Map(items.map((item) => [key(item), item]));
    let waiting = 0;
    for (const [k, row] of rows) {
      if (fresh.has(k)) {
        row.node.classList.remove('gone');
        continue;
      }
      if (held) {
        row.node.classList.add('gone');
        waiting++;
      } else {
        row.node.remove();
        rows.delete(k);
      }
    }
    let before = body.firstChild;
    for (const [k, item] of fresh) {
      let row = rows.get(k);
      if (!row) {
        if (held) {
          waiting++;
          continue;
        }
        row = make(item);
        rows.set(k, row);
      }
      update(row, item);
      if (held) continue;
      if (row.node === before) before = before.nextSibling;
      else body.insertBefore(row.node, before);
    }
    return { held, waiting };
  };
  return { show, isHeld };
}
