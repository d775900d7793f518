// Draws the page anew every few seconds: the server writes all of it, so nothing is computed here.
'use strict';

const EVERY_MS = 5000;
const PARTS = ['.parts', 'main'];

async function refresh() {
  // Whoever reads or selects something, or looks elsewhere, is not disturbed.
  if (document.hidden || String(getSelection()) !== '') return;
  let fresh;
  try {
    const answer = await fetch('/', { cache: 'no-store' });
    if (!answer.ok) throw new Error(answer.statusText);
    fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  } catch {
    document.documentElement.dataset.live = 'no';
    document.title = 'pgmemo (not reached)';
    return;
  }
  const scrolled = [...document.querySelectorAll('.scroll')].map((it) => it.scrollLeft);
  for (const part of PARTS) {
    document.querySelector(part).replaceWith(fresh.querySelector(part));
  }
  document.querySelectorAll('.scroll').forEach((it, at) => { it.scrollLeft = scrolled[at] ?? 0; });
  document.documentElement.dataset.live = 'yes';
  document.title = 'pgmemo';
}

setInterval(refresh, EVERY_MS);
