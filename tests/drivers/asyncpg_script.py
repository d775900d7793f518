"""asyncpg: named statements, binary, resets between uses of a pool."""

import asyncio

import asyncpg

from common import ALL, ROUNDS, URL, show


async def main():
    async with asyncpg.create_pool(URL, min_size=1, max_size=1) as pool:
        for _ in range(ROUNDS):
            async with pool.acquire() as conn:
                show("all", await conn.fetch(ALL))
                for key in (1, 2, 99, 1234):
                    show("one", await conn.fetch("SELECT id, name, price FROM item WHERE id = $1", key))
                print("value", await conn.fetchval("SELECT count(*) FROM item"))

        async with pool.acquire() as conn:
            await conn.execute("UPDATE stock SET n = 0")
            for value in range(1, 5):
                print("status", await conn.execute("UPDATE stock SET n = $1 WHERE id = 1", value))
                show("own write", await conn.fetch("SELECT n FROM stock WHERE id = 1"))
            async with conn.transaction():
                show("in a transaction", await conn.fetch(ALL))
                cursor = await conn.cursor(ALL)
                show("cursor", await cursor.fetch(3))
                show("cursor", await cursor.fetch(3))
            try:
                await conn.fetch("SELECT 1 / (id - 1) FROM item")
            except asyncpg.DivisionByZeroError as error:
                print("error", error.sqlstate, error)
            await conn.executemany("UPDATE stock SET n = n + $1 WHERE id = 2", [(1,), (2,), (3,)])
            show("after many", await conn.fetch("SELECT * FROM stock ORDER BY id"))
            statement = await conn.prepare("SELECT name FROM item WHERE id = $1")
            for _ in range(ROUNDS):
                show("prepared", await statement.fetch(3))
            await conn.execute("ALTER TABLE stock ADD COLUMN IF NOT EXISTS more int")
            await conn.execute("ALTER TABLE stock DROP COLUMN more")
            show("after a change", await conn.fetch("SELECT * FROM stock ORDER BY id"))
            await conn.copy_records_to_table("stock", records=[(7, 70)])
            show("after copy", await conn.fetch("SELECT id, n FROM stock ORDER BY id"))
            await conn.execute("DELETE FROM stock WHERE id = 7")


asyncio.run(main())
