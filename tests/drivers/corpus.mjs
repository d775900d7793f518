// The corpus by node-postgres, as simple queries where nothing is bound, or as named statements.

import { readFileSync } from 'node:fs';

import { lookups, outcome, report, require, show, url } from './common.mjs';

const { Client } = require('pg');
const named = process.argv.at(2) === 'named';

function statements() {
    const found = [];
    for (const line of readFileSync(process.env.CORPUS, 'utf8').split('\n')) {
        if (line.startsWith('-- <- ')) found.at(-1).values = JSON.parse(line.slice(6));
        else if (line.startsWith('-- ')) found.push({ name: line.slice(3).split(':')[0].trim(), sql: '', values: [] });
        else if (found.length > 0) found.at(-1).sql += `${line}\n`;
    }
    return found.filter((one) => one.sql.trim() !== '');
}

const client = new Client({ connectionString: url });
await client.connect();
const lines = [];
for (const one of statements()) {
    const query = { text: one.sql, rowMode: 'array' };
    if (one.values.length > 0) query.values = one.values;
    if (named) query.name = one.name;
    for (let run = 0; run < 3; run++) {
        const before = await lookups();
        const { rows } = await client.query(query);
        if (run === 1) lines.push(`${one.name}\t${outcome(before, await lookups())}\n`);
        if (one.name !== 'chance') show(one.name, rows);
    }
}
await client.end();
report(lines);
