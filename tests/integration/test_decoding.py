"""Many threads read the same type for the first time, at the same moment."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from deadlock_matrix.decoding import convert, decode
from deadlock_matrix.model.evidence import Machine

AT_ONCE = """
import sys, threading
sys.setswitchinterval(1e-6)
from deadlock_matrix.decoding import READ
from deadlock_matrix.model.inspection import Inspection
import msgspec
met = threading.Barrier(16)
failed = []
def read():
    met.wait()
    try:
        READ(Inspection)
    except msgspec.ValidationError:
        failed.append(True)
threads = [threading.Thread(target=read) for _ in range(16)]
for each in threads: each.start()
for each in threads: each.join()
sys.exit(len(failed))
"""


@pytest.mark.parametrize("call", ["decode(b'{}', %s)", "convert({}, %s)"])
def test_many_threads_at_once(call: str) -> None:
    name = call.partition("(")[0]
    script = AT_ONCE.replace("import READ", f"import {name}")
    script = script.replace("READ(Inspection)", call % "Inspection")
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == 16  # not by a signal


def test_what_is_read() -> None:
    machine = Machine(system="linux", architecture="x86_64", kernel="6.1", libc="musl")
    assert decode(msgspec.json.encode(machine), Machine) == machine
    assert convert(msgspec.to_builtins(machine), Machine) == machine
    with pytest.raises(msgspec.DecodeError):
        decode(b"[", Machine)
