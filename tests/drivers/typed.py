"""Values of every type as parameters, by psycopg 3 (`text`, `binary`) or `asyncpg`."""

import asyncio
import sys

from common import ROUNDS, URL, lookups, others_than_hits, report, show

MODE = sys.argv[1]
COLUMNS = """SELECT attname FROM pg_attribute
    WHERE attrelid = 'typed'::regclass AND attnum > 1 ORDER BY attnum"""
KEYS = range(1, 5)


def read(column, key):
    return f'SELECT "{column}" FROM typed WHERE id = {key}'


def statements(column, sign):
    """A comparison with a value, and what it is by itself and as text."""
    name, value = f'"{column}"', f"{sign}::{column}"
    return [
        f"SELECT id, {name} FROM typed WHERE {name} = {value} ORDER BY id",
        f"SELECT id, {value}, ({value})::text FROM typed WHERE id < 3 ORDER BY id",
    ]


def psycopg_runs():
    import psycopg
    from psycopg.types.json import Jsonb

    sign = "%b" if MODE == "binary" else "%t"
    lines = []
    with psycopg.connect(URL, autocommit=True) as conn:

        def run(sql, values=None):
            return conn.execute(sql, values, binary=MODE == "binary").fetchall()

        for column in [name for name, in run(COLUMNS)]:
            values = []
            for key in KEYS:
                # What the driver cannot hold it cannot send either.
                try:
                    value = run(read(column, key))[0][0]
                    values.append(Jsonb(value) if isinstance(value, dict) else value)
                except psycopg.Error as error:
                    print(column, key, error)
            for round in range(ROUNDS):
                if round == 1:
                    before = lookups()
                for value in list(values):
                    try:
                        for sql in statements(column, sign):
                            show(column, run(sql, (value,) * sql.count(sign)))
                    except psycopg.Error as error:
                        # Sent as a type that does not fit; errors are not remembered.
                        print(column, error)
                        values.remove(value)
            lines.append((column, others_than_hits(before, lookups())))
    report(lines)


async def asyncpg_runs():
    import asyncpg

    lines = []
    conn = await asyncpg.connect(URL)
    for (column,) in await conn.fetch(COLUMNS):
        values = []
        for key in KEYS:
            try:
                values.append(await conn.fetchval(read(column, key)))
            except (ValueError, OverflowError) as error:
                print(column, key, error)
        for round in range(ROUNDS):
            if round == 1:
                before = lookups()
            for value in values:
                for sql in statements(column, "$1"):
                    show(column, [tuple(row) for row in await conn.fetch(sql, value)])
        lines.append((column, others_than_hits(before, lookups())))
    await conn.close()
    report(lines)


if MODE == "asyncpg":
    asyncio.run(asyncpg_runs())
else:
    psycopg_runs()
