"""What the harness adds to a cell: run_cell of an empty entry beside the bare interpreter."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from measure import cell, spread, workspace

from deadlock_matrix.run.cell import run_cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    bare: list[float] = []
    whole: list[float] = []
    with workspace() as opened:
        empty = cell(sys.executable, "pass")
        run_cell(empty, opened)  # starts the helpers
        for _ in range(runs):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", "pass"], check=True)
            middle = time.perf_counter()
            run_cell(empty, opened)
            bare.append(middle - begin)
            whole.append(time.perf_counter() - middle)
    added = [w - b for w, b in zip(whole, bare, strict=True)]
    print(f"{runs} pairs, one after the other")
    print(f"  python -c pass    {spread(bare)}")
    print(f"  run_cell('pass')  {spread(whole)}")
    print(f"  added             {spread(added)}, median {statistics.median(added) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
