"""psycopg 3: `text`, `binary` or `pipeline`."""

import sys

import psycopg

from common import ALL, ROUNDS, URL, show

mode = sys.argv[1]
binary = mode == "binary"

with psycopg.connect(URL, autocommit=True) as conn:
    # More rounds than it takes until the driver prepares by itself.
    for _ in range(ROUNDS * 3):
        show("all", conn.execute(ALL, binary=binary).fetchall())
        for key in (1, 2, 99, 1234):
            cursor = conn.execute("SELECT id, name, price FROM item WHERE id = %s", (key,), binary=binary)
            show("one", cursor.fetchall())
            print(cursor.description, cursor.statusmessage)

    conn.execute("UPDATE stock SET n = 0")
    for value in range(1, 8):
        conn.execute("UPDATE stock SET n = %s WHERE id = 1", (value,))
        show("own write", conn.execute("SELECT n FROM stock WHERE id = 1", binary=binary).fetchall())

    with conn.transaction():
        show("in a transaction", conn.execute(ALL, binary=binary).fetchall())
        conn.execute("UPDATE stock SET n = n + 1 WHERE id = 2")
        show("in a transaction", conn.execute("SELECT n FROM stock ORDER BY id").fetchall())

    try:
        conn.execute("SELECT 1 / (id - 1) FROM item")
    except psycopg.errors.DivisionByZero as error:
        print("error", error.diag.sqlstate, error.diag.message_primary)

    with conn.cursor() as cursor:
        with cursor.copy("COPY (SELECT id FROM item ORDER BY id) TO STDOUT") as copy:
            print("copy", b"".join(bytes(block) for block in copy))

    with conn.transaction(), conn.cursor(name="portal") as cursor:
        cursor.execute(ALL)
        show("cursor", cursor.fetchmany(3))
        show("cursor", cursor.fetchmany(3))

    if mode == "pipeline":
        for _ in range(ROUNDS):
            with conn.pipeline() as pipeline:
                cursors = [conn.execute("SELECT name FROM item WHERE id = %s", (key,)) for key in (1, 2, 3)]
                pipeline.sync()
                conn.execute("UPDATE stock SET n = n + 1 WHERE id = 1")
                cursors.append(conn.execute("SELECT n >= 0 FROM stock WHERE id = 1"))
            for cursor in cursors:
                show("pipeline", cursor.fetchall())
        try:
            with conn.pipeline():
                good = conn.execute(ALL)
                conn.execute("SELECT 1 / 0")
                conn.execute(ALL)
        except psycopg.errors.DivisionByZero:
            print("pipeline failed at its second statement")
        show("after", conn.execute(ALL).fetchall())
