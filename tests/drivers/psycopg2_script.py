"""psycopg2: simple queries, each transaction opened by the driver."""

import psycopg2

from common import ALL, ROUNDS, URL, show

conn = psycopg2.connect(URL)
cursor = conn.cursor()
for _ in range(ROUNDS):
    cursor.execute(ALL)
    show("all", cursor.fetchall())
    for key in (1, 2, 99, 1234):
        cursor.execute("SELECT id, name, price FROM item WHERE id = %s", (key,))
        show("one", cursor.fetchall())
    conn.commit()

cursor.execute("UPDATE stock SET n = 0")
conn.commit()
for value in range(1, 5):
    cursor.execute("SELECT n FROM stock WHERE id = 1")
    show("before", cursor.fetchall())
    cursor.execute("UPDATE stock SET n = %s WHERE id = 1", (value,))
    cursor.execute("SELECT n FROM stock WHERE id = 1")
    show("own write", cursor.fetchall())
    conn.rollback() if value % 2 else conn.commit()
cursor.execute("SELECT n FROM stock ORDER BY id")
show("after", cursor.fetchall())
conn.commit()

try:
    cursor.execute("SELECT 1 / (id - 1) FROM item")
except psycopg2.Error as error:
    print("error", error.pgcode, error.pgerror)
conn.rollback()

named = conn.cursor(name="portal")
named.execute(ALL)
show("cursor", named.fetchmany(3))
conn.rollback()

conn.autocommit = True
for _ in range(ROUNDS):
    cursor.execute(ALL)
    show("autocommit", cursor.fetchall())
cursor.execute("LISTEN channel")
cursor.execute("NOTIFY channel, 'hello'")
conn.poll()
print("notified", [notify.payload for notify in conn.notifies])
conn.close()
