"""What the Python scripts share: the statements, how rows are shown, and what became of lookups."""

import os
import re
import sys
import urllib.request

URL = sys.argv[-1]
METRICS = os.environ.get("PGMEMO_METRICS")
REPORT = os.environ.get("HITS_REPORT")
ALL = "SELECT * FROM item ORDER BY id"
ROUNDS = 3


def show(label, rows):
    for row in rows:
        print(label, *(repr(bytes(value) if isinstance(value, memoryview) else value) for value in row), sep=" | ")


def lookups():
    if not METRICS:
        return {}
    lines = urllib.request.urlopen(METRICS).read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("pgmemo_lookups_total{"))
    return {series: float(value) for series, value in pairs}


def outcome(before, after):
    grown = [series for series in after if after[series] > before.get(series, 0)]
    if any('result="hit"' in series for series in grown):
        return "hit"
    reasons = re.findall('reason="([^"]+)"', " ".join(grown))
    return reasons[0] if reasons else "miss"


def others_than_hits(before, after):
    """What became of lookups that were no hits, or `hit` if all were."""
    grown = [series for series in after if after[series] > before.get(series, 0)]
    others = [series for series in grown if 'result="hit"' not in series]
    return " ".join(others) if others or not grown else "hit"


def report(lines):
    if METRICS:
        with open(REPORT, "w") as file:
            file.writelines(f"{name}\t{what}\n" for name, what in lines)
