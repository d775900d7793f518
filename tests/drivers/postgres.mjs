// postgres.js: named statements, pipelines, cursors.

import { all, require, rounds, show, url } from './common.mjs';

const postgres = require('postgres');
const sql = postgres(url, { max: 1, onnotice: () => {} });

for (let round = 0; round < rounds; round++) {
    show('all', await sql.unsafe(all));
    for (const key of [1, 2, 99, 1234]) {
        const one = await sql`SELECT id, name, price FROM item WHERE id = ${key}`;
        show('one', one);
        console.log(one.command, one.count, one.columns.map((column) => [column.name, column.type]));
    }
    // Sent without waiting for one another.
    const sent = await Promise.all([1, 2, 3].map((key) => sql`SELECT name, at FROM item WHERE id = ${key}`));
    sent.forEach((rows) => show('pipeline', rows));
    show('simple', await sql.unsafe('SELECT id, tags FROM item ORDER BY id LIMIT 3').simple());
}

await sql`UPDATE stock SET n = 0`;
for (let value = 1; value < 5; value++) {
    await sql`UPDATE stock SET n = ${value} WHERE id = 1`;
    show('own write', await sql`SELECT n FROM stock WHERE id = 1`);
}
await sql.begin(async (sql) => {
    show('in a transaction', await sql.unsafe(all));
    await sql`UPDATE stock SET n = n + 1 WHERE id = 2`;
    show('in a transaction', await sql`SELECT n FROM stock ORDER BY id`);
});
show('after', await sql`SELECT n FROM stock ORDER BY id`);
for await (const rows of sql`SELECT id FROM item ORDER BY id`.cursor(7)) show('cursor', rows);
const error = await sql`SELECT 1 / (id - 1) FROM item`.catch((error) => error);
console.log('error', error.code, error.message);
show('after an error', await sql.unsafe(all));
await sql.end();
