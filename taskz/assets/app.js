// The page is one of two: all tasks, or one of them.
import { showAll } from './all.js';
import { showOne } from './one.js';

const last = location.pathname.split('/').pop();
const main = document.getElementById('main');

if (/^\d+$/.test(last)) showOne(main, last);
else showAll(main);
