"""The corpus by psycopg 3 (`text`, `binary`) or `asyncpg`: rows to the output, hits to a file."""

import asyncio
import datetime
import json
import os
import sys
import uuid
from decimal import Decimal

from common import URL, lookups, outcome, report, show

MODE = sys.argv[1]


def statements():
    found = []
    for line in open(os.environ["CORPUS"]):
        if line.startswith("-- <- "):
            found[-1]["values"] = json.loads(line[6:])
        elif line.startswith("-- "):
            found.append({"name": line[3:].split(":")[0].strip(), "sql": "", "values": []})
        elif found:
            found[-1]["sql"] += line
    return [one for one in found if one["sql"].strip()]


def native(value, kind):
    """What a driver that knows the type of a parameter wants to be given."""
    makers = {
        "timestamptz": datetime.datetime.fromisoformat,
        "date": datetime.date.fromisoformat,
        "uuid": uuid.UUID,
        "numeric": lambda value: Decimal(str(value)),
        "float8": float,
        "jsonb": json.dumps,
    }
    return makers.get(kind, lambda value: value)(value)


def psycopg_runs():
    import psycopg
    from psycopg.types.json import Jsonb

    binary = MODE == "binary"
    lines = []
    with psycopg.connect(URL, autocommit=True) as conn:
        cursor = psycopg.RawCursor(conn)
        for one in statements():
            values = [Jsonb(value) if isinstance(value, dict) else value for value in one["values"]]
            for run in range(3):
                before = lookups()
                cursor.execute(one["sql"], values or None, binary=binary)
                rows = cursor.fetchall()
                if run == 1:
                    lines.append((one["name"], outcome(before, lookups())))
                if one["name"] != "chance":
                    show(one["name"], rows)
    report(lines)


async def asyncpg_runs():
    import asyncpg

    lines = []
    conn = await asyncpg.connect(URL)
    for one in statements():
        for run in range(3):
            before = lookups()
            statement = await conn.prepare(one["sql"])
            kinds = [parameter.name for parameter in statement.get_parameters()]
            values = [native(value, kind) for value, kind in zip(one["values"], kinds)]
            rows = await statement.fetch(*values)
            if run == 1:
                lines.append((one["name"], outcome(before, lookups())))
            if one["name"] != "chance":
                show(one["name"], [tuple(row) for row in rows])
    await conn.close()
    report(lines)


if MODE == "asyncpg":
    asyncio.run(asyncpg_runs())
else:
    psycopg_runs()
