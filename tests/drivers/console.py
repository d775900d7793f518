"""The console of pgmemo by each driver: what they make of its names, types and errors."""

import asyncio
import datetime

import asyncpg
import psycopg
import psycopg2

from common import URL

COUNTS = "SHOW STATEMENTS"


def tell(driver, rows, names):
    """How often the statement with a constant was seen, whatever the constant was."""
    found = [dict(zip(names, row)) for row in rows]
    for row in found:
        if row["statement"] == "SELECT v FROM t WHERE id = ?":
            print(driver, row["calls"], row["hits"], type(row["hit_ratio"]).__name__, row["reason"])


def since(driver, moment):
    age = datetime.datetime.now(datetime.timezone.utc) - moment
    print(driver, "since", datetime.timedelta() <= age < datetime.timedelta(hours=1))


for binary in (False, True):
    driver = f"psycopg 3 {'in binary' if binary else 'in text'}"
    with psycopg.connect(URL) as conn:
        cursor = conn.cursor(binary=binary)
        cursor.execute(COUNTS)
        tell(driver, cursor.fetchall(), [column.name for column in cursor.description])
        since(driver, conn.execute("SHOW STATS", prepare=True, binary=binary).fetchone()[0])
        try:
            conn.execute("SELECT 1")
        except psycopg.errors.FeatureNotSupported as error:
            print(driver, error.diag.message_hint)

conn = psycopg2.connect(URL)
cursor = conn.cursor()
cursor.execute(COUNTS)
tell("psycopg2", cursor.fetchall(), [column.name for column in cursor.description])
conn.rollback()
conn.close()


async def by_asyncpg():
    conn = await asyncpg.connect(URL)
    rows = await conn.fetch(COUNTS)
    tell("asyncpg", [row.values() for row in rows], list(rows[0].keys()))
    since("asyncpg", await conn.fetchval("SHOW STATS"))
    await conn.close()


asyncio.run(by_asyncpg())
