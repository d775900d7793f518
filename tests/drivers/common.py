"""What the Python scripts share: the statements, and how rows are shown."""

import sys

URL = sys.argv[-1]
ALL = "SELECT * FROM item ORDER BY id"
ROUNDS = 3


def show(label, rows):
    for row in rows:
        print(label, *(repr(bytes(value) if isinstance(value, memoryview) else value) for value in row), sep=" | ")
