// The console of pgmemo by node-postgres and postgres.js.

import { require, url } from './common.mjs';

const counts = 'SHOW STATEMENTS';
const tell = (driver, rows) => {
    for (const row of rows) {
        if (row.statement === 'SELECT v FROM t WHERE id = ?') {
            console.log(driver, row.calls, row.hits, typeof row.hit_ratio, row.reason);
        }
    }
};

const { Client } = require('pg');
const client = new Client({ connectionString: url });
await client.connect();
tell('pg', (await client.query(counts)).rows);
tell('pg, prepared', (await client.query({ name: 'counts', text: counts })).rows);
const error = await client.query('SELECT 1').catch((error) => error);
console.log('pg', error.code, error.hint);
await client.end();

const postgres = require('postgres');
const sql = postgres(url, { max: 1, fetch_types: false });
tell('postgres', await sql.unsafe(counts));
tell('postgres, prepared', await sql`SHOW STATEMENTS`);
await sql.end();
