"""What ``pytest --prove-hangs`` costs a suite that does not hang, and finds in one that does.

The cost is measured on many trivial tests, pairs in turn, as a ratio. The other table runs
`repro/hanging_suite` under what people use against hangs, each with a limit of 40 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITE = Path(__file__).parents[1] / "repro" / "hanging_suite"
TESTS = 5000
WITHIN_S = 40
METHODS = {
    "pytest alone": (),
    "faulthandler_timeout=3": ("-o", "faulthandler_timeout=3"),
    "pytest-timeout, signal": ("--timeout=3", "--timeout-method=signal"),
    "pytest-timeout, thread": ("--timeout=3", "--timeout-method=thread"),
    "--prove-hangs": ("--prove-hangs", "--prove-hangs-after=3"),
    "--prove-hangs -n 2": ("--prove-hangs", "--prove-hangs-after=3", "-n", "2"),
    "--prove-hangs -n 4, loadfile": (
        *("--prove-hangs", "--prove-hangs-after=3", "-n", "4", "--dist", "loadfile"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cost(Path(folder), options.pairs)
    finds()


def cost(folder: Path, pairs: int) -> None:
    (folder / "test_many.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('i', range({TESTS}))\ndef test_it(i): pass\n"
    )
    ratios = []
    for _ in range(pairs):
        plain = timed(folder, ())
        ratios.append(timed(folder, ("--prove-hangs",)) / plain)
    print(f"{TESTS} trivial tests, {pairs} pairs: with --prove-hangs / without")
    print(f"  median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


def timed(folder: Path, options: tuple[str, ...]) -> float:
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began


def finds() -> None:
    print(f"\n{'':30} ended by itself   seconds   results   hangs named")
    for name, options in METHODS.items():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options]
            command += [f"--rootdir={folder}", f"--junitxml={folder}/junit.xml", str(SUITE)]
            began = time.monotonic()
            with (Path(folder) / "output").open("w+b") as output:
                ended = run(command, output.fileno())
                output.seek(0)
                text = output.read().decode(errors="replace")
            seconds = time.monotonic() - began
            junit = Path(folder) / "junit.xml"
            results = junit.read_text().count("<testcase ") if junit.exists() else 0
            named = text.count("\nprove-hangs: pytest process") + text.count("Timeout (>")
        print(f"{name:30} {'yes' if ended else 'no':15} {seconds:9.1f} {results:9} {named:13}")


def run(command: list[str], output: int) -> bool:
    """Whether it ends within the limit; else it is killed, with all it has started."""
    process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        process.wait(WITHIN_S)
    except subprocess.TimeoutExpired:
        from deadlock_matrix.run.tree_end import end_tree

        end_tree(process.pid)
        process.wait()
        return False
    return True


if __name__ == "__main__":
    main()
