// What the Node.js scripts share: the statements, how rows are shown, and what became of lookups.

import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export const require = createRequire(process.env.NODE_PACKAGES);
export const url = process.argv.at(-1);
export const all = 'SELECT * FROM item ORDER BY id';
export const rounds = 3;
const metrics = process.env.PGMEMO_METRICS;

export function show(label, rows) {
    for (const row of rows) console.log(label, JSON.stringify(row));
}

export async function lookups() {
    if (!metrics) return new Map();
    const lines = (await (await fetch(metrics)).text()).split('\n');
    return new Map(lines.filter((line) => line.startsWith('pgmemo_lookups_total{')).map((line) => {
        const end = line.lastIndexOf(' ');
        return [line.slice(0, end), Number(line.slice(end + 1))];
    }));
}

export function outcome(before, after) {
    const grown = [...after].filter(([series, value]) => value > (before.get(series) ?? 0)).map(([series]) => series);
    if (grown.some((series) => series.includes('result="hit"'))) return 'hit';
    return grown.join(' ').match(/reason="([^"]+)"/)?.[1] ?? 'miss';
}

// What became of lookups that were no hits, or `hit` if all were.
export function othersThanHits(before, after) {
    const grown = [...after].filter(([series, value]) => value > (before.get(series) ?? 0)).map(([series]) => series);
    const others = grown.filter((series) => !series.includes('result="hit"'));
    return others.length > 0 || grown.length === 0 ? others.join(' ') : 'hit';
}

export function report(lines) {
    if (metrics) writeFileSync(process.env.HITS_REPORT, lines.join(''));
}
