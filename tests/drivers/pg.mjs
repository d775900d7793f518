// node-postgres: unnamed and named statements, one pool.

import { all, require, rounds, show, url } from './common.mjs';

const { Pool } = require('pg');
const pool = new Pool({ connectionString: url, max: 1 });

for (let round = 0; round < rounds; round++) {
    show('all', (await pool.query(all)).rows);
    for (const key of [1, 2, 99, 1234]) {
        const one = await pool.query('SELECT id, name, price FROM item WHERE id = $1', [key]);
        show('one', one.rows);
        console.log(one.command, one.rowCount, one.fields.map((field) => [field.name, field.dataTypeID]));
        const named = { name: 'by-id', text: 'SELECT id, name, at FROM item WHERE id = $1', values: [key] };
        show('named', (await pool.query(named)).rows);
    }
    show('arrays', (await pool.query({ text: all, rowMode: 'array' })).rows);
}

await pool.query('UPDATE stock SET n = 0');
for (let value = 1; value < 5; value++) {
    await pool.query('UPDATE stock SET n = $1 WHERE id = 1', [value]);
    show('own write', (await pool.query('SELECT n FROM stock WHERE id = 1')).rows);
}

const client = await pool.connect();
await client.query('BEGIN');
show('in a transaction', (await client.query(all)).rows);
await client.query('UPDATE stock SET n = n + 1 WHERE id = 2');
show('in a transaction', (await client.query('SELECT n FROM stock ORDER BY id')).rows);
await client.query('ROLLBACK');
show('after', (await client.query('SELECT n FROM stock ORDER BY id')).rows);
const error = await client.query('SELECT 1 / (id - 1) FROM item').catch((error) => error);
console.log('error', error.code, error.message);
const several = await client.query('SELECT 1 AS a; SELECT id FROM item WHERE id = 1');
several.forEach((result) => show('several', result.rows));
// Queries queue in the driver; answers must come back in order.
const queued = await Promise.all([1, 2, 3].map((key) => client.query('SELECT name FROM item WHERE id = $1', [key])));
queued.forEach((result) => show('queued', result.rows));
client.release();
await pool.end();
