// What the Node.js scripts share: the statements, and how rows are shown.

import { createRequire } from 'node:module';

export const require = createRequire(process.env.NODE_PACKAGES);
export const url = process.argv.at(-1);
export const all = 'SELECT * FROM item ORDER BY id';
export const rounds = 3;

export function show(label, rows) {
    for (const row of rows) console.log(label, JSON.stringify(row));
}
