// Values of every type as parameters, by node-postgres (`pg`) or postgres.js (`postgres`).

import { lookups, othersThanHits, report, require, rounds, show, url } from './common.mjs';

const mode = process.argv.at(2);

function open() {
    if (mode === 'postgres') {
        const sql = require('postgres')(url, { max: 1, onnotice: () => {} });
        return { run: async (text, values) => [...await sql.unsafe(text, values, { prepare: true })], end: () => sql.end() };
    }
    const { Client } = require('pg');
    const client = new Client({ connectionString: url });
    const ready = client.connect();
    const run = async (text, values) => (await ready, (await client.query(text, values)).rows);
    return { run, end: () => client.end() };
}

const { run, end } = open();
const columns = await run(`SELECT attname FROM pg_attribute
    WHERE attrelid = 'typed'::regclass AND attnum > 1 ORDER BY attnum`);
const lines = [];
for (const { attname: column } of columns) {
    const values = [];
    for (let key = 1; key < 5; key++) {
        const [{ value }] = await run(`SELECT "${column}" AS value FROM typed WHERE id = ${key}`);
        // Infinite dates cannot be sent.
        if (!(value instanceof Date && Number.isNaN(value.getTime()))) values.push(value);
    }
    // What the driver turns into text that is no value of the type; errors are not remembered.
    const refused = new Set();
    let before;
    for (let round = 0; round < rounds; round++) {
        if (round === 1) before = await lookups();
        for (const value of values) {
            for (const sql of [
                `SELECT id, "${column}" FROM typed WHERE "${column}" = $1::${column} ORDER BY id`,
                `SELECT id, $1::${column} AS value, ($1::${column})::text FROM typed WHERE id < 3 ORDER BY id`,
            ]) {
                if (refused.has(value)) continue;
                try {
                    show(column, await run(sql, [value]));
                } catch (error) {
                    console.log(column, error.code, error.message);
                    refused.add(value);
                }
            }
        }
    }
    lines.push(`${column}\t${othersThanHits(before, await lookups())}\n`);
}
await end();
report(lines);
