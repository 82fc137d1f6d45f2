"""`python -m bench`: one table of what DESIGN 9 bounds, each figure beside its floor from the same run.

Ratios are what counts: figures are of this machine, and of what else runs on it. The exit status says whether every
bound is kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bench.figures import Row, Skipped, bench_of
from bench.rows import ROWS

RECORDS, QUICK_RECORDS = 100_000, 10_000
REPEATS, QUICK_REPEATS = 4, 1
HEAD = ("what", "figure", "", "floor", "ratio", "bound", "kept", "floor is", "n")


def line(row: Row | Skipped) -> tuple[str, ...]:
    if isinstance(row, Skipped):
        return (row.name, "–", "", "", "", "", "–", f"skipped: {row.why}", "")
    floor = "" if row.floor is None else _figure(row.floor)
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} ×"
    kept = "" if not str(row.bound) and not row.wrong else "yes" if row.ok else f"NO {row.wrong}".strip()
    return (row.name, _figure(row.value), row.unit, floor, ratio, str(row.bound), kept, row.floor_is, row.n)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def print_table(lines: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(HEAD, *lines, strict=True)]
    for cells in (HEAD, tuple("-" * width for width in widths), *lines):
        padded = [
            c.rjust(w) if 0 < i < 6 and i != 2 else c.ljust(w)
            for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        print("  ".join(padded).rstrip())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench", description="The budgets of DESIGN 9, measured.")
    parser.add_argument("--only", default="", metavar="ROW,…", help=f"of: {', '.join(ROWS)}")
    parser.add_argument("--records", type=int, metavar="N", help=f"size of the big store (default {RECORDS:,})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RECORDS:,} records and fewer repeats")
    given = parser.parse_args(arguments)
    asked = set(given.only.split(",")) if given.only else set(ROWS)
    if unknown := asked - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    records = given.records or (QUICK_RECORDS if given.quick else RECORDS)
    rows: list[Row | Skipped] = []
    with bench_of(records, QUICK_REPEATS if given.quick else REPEATS, _tell) as bench:
        # In their own order: those that need vectors come after those that are of a store without.
        for name in (name for name in ROWS if name in asked):
            _tell(name)
            rows += ROWS[name](bench)
    _tell("")
    print_table([line(row) for row in rows])
    return 0 if all(row.ok for row in rows if isinstance(row, Row)) else 1


def _tell(doing: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{doing}")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
