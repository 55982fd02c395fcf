"""The same answers whatever alphabet the paths, modules and names are written in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from pythons import interpreter

from deadlock_matrix.model.inspection import Inspection

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads procfs"),
    pytest.mark.timeout(300),
]

TOOL = (sys.executable, "-m", "deadlock_matrix", "inspect")
FOLDERS = {
    "latin-1": ("Jürgen", "größe"),
    "cyrillic": ("проект", "замок"),
    "chinese with a space": ("带 空格", "锁"),
    "beyond the first plane": ("🐍", "𐐀𐐁"),
    "no text at all": (os.fsdecode(b"\xff\xfe"), "wort"),
    "control characters": ("line\nend\rtab\tescape\x1b[31m", "wort"),
}
OF_PEOPLE = ("latin-1", "cyrillic", "chinese with a space")
VERSIONS = ("3.8", "3.11", "3.14", "3.15")
THIS = ".".join(map(str, sys.version_info[:2]))
CASES = [
    pytest.param(version, *FOLDERS[each], id=f"{version}-{each}")
    for version in dict.fromkeys((THIS, *VERSIONS))
    for each in (FOLDERS if version == THIS else OF_PEOPLE)
]
JOIN = """\
import os, threading
def NAME():
    os.write(1, b"ready\\n")
    threading.main_thread().join()
thread = threading.Thread(target=NAME)
thread.start()
thread.join()
"""
IMPORT = """\
import os, sys, threading
sys.path.insert(0, os.path.dirname(__file__))
import pkg_NAME
"""
PACKAGE = """\
import os, threading
def NAME():
    os.write(1, b"ready\\n")
    import pkg_NAME.sub
thread = threading.Thread(target=NAME)
thread.start()
thread.join()
"""
# Both threads are inside an import of the one module and wait for the lock of the other, so both
# owners are told; the main thread of the program waits for a lock, where nobody interrupts it.
CROSSED = """\
import os, sys, threading
sys.path.insert(0, os.path.dirname(__file__))
met = threading.Barrier(2)
threads = [threading.Thread(target=__import__, args=(n,)) for n in ("left_NAME", "right_NAME")]
sys.modules["meeting"] = sys.modules["__main__"]
for thread in threads:
    thread.start()
os.write(1, b"ready\\n")
for thread in threads:
    thread.join()
"""
SIDE = """\
import threading
import meeting
meeting.met.wait()
def NAME():
    import OTHER_NAME
thread = threading.Thread(target=NAME)
thread.start()
thread.join()
"""

EXPECTED: dict[tuple[str, str], tuple[object, ...]] = {}
"""By Python and kind of hang, the answer for a program in ASCII; made once."""


@pytest.fixture
def python(request: pytest.FixtureRequest) -> str:
    return interpreter(request.param)


@pytest.fixture
def run(tmp_path: Path, python: str) -> Iterator[object]:
    started: list[subprocess.Popen[bytes]] = []

    def launch(folder: str, name: str, program: str, **modules: str) -> int:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for module, text in {"program": program, **modules}.items():
            file = place / f"{module}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.replace("NAME", name), encoding="utf-8")
        process = subprocess.Popen([python, place / "program.py"], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process.pid

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def inspect(pid: int) -> Inspection:
    for _ in range(20):  # the last thread may still be on its way into its wait
        done = subprocess.run(
            [*TOOL, "--json", str(pid)], capture_output=True, timeout=60, check=False
        )
        assert done.stdout, done.stderr.decode()
        answer = msgspec.json.decode(done.stdout, type=Inspection)
        if answer.verdict == "deadlock":
            break
    return answer


def in_ascii(answer: Inspection, name: str) -> tuple[object, ...]:
    """What must be the same: the sentence and the proof, without ids and with a plain name."""
    assert answer.proof is not None

    def plain(text: str) -> str:
        # From 3.14 on the kernel knows a thread by its name, of which it keeps fifteen bytes.
        text = re.sub(r"(thread \d+) '[^']*'", r"\1", text).replace(name, "name")
        return re.sub(r"\b\d{2,}\b", "N", re.sub(r"0x[0-9a-f]+", "0xN", text))

    held = sorted(plain(f"{c.name}: {c.detail}") for c in answer.proof.conditions)
    held = [re.sub(r"[\dN+]+ context", "N context", each) for each in held]
    edges = sorted(plain(f"{e.tail} {e.relation} {e.head}") for e in answer.proof.edges)
    clauses = sorted(re.split("[:;] ", plain(answer.sentence).rstrip(".")))
    return answer.verdict, answer.proof.kind, clauses, edges, held


@pytest.mark.parametrize(("python", "folder", "name"), CASES, indirect=["python"])
@pytest.mark.parametrize("kind", ["join", "import", "crossed"])
def test_the_same_answer_as_in_ascii(
    run: object, python: str, folder: str, name: str, kind: str
) -> None:
    def answer(folder: str, name: str) -> Inspection:
        if kind == "join":
            pid = run(folder, name, JOIN)  # type: ignore[operator]
        elif kind == "import":
            modules = {f"pkg_{name}/__init__": PACKAGE, f"pkg_{name}/sub": ""}
            pid = run(folder, name, IMPORT, **modules)  # type: ignore[operator]
        else:
            sides = {
                f"left_{name}": SIDE.replace("OTHER", "right"),
                f"right_{name}": SIDE.replace("OTHER", "left"),
            }
            pid = run(folder, name, CROSSED, **sides)  # type: ignore[operator]
        return inspect(pid)

    if (python, kind) not in EXPECTED:
        EXPECTED[python, kind] = in_ascii(answer("plain", "name"), "name")
    expected = EXPECTED[python, kind]
    assert expected[0] == "deadlock", expected
    assert in_ascii(answer(folder, name), name) == expected


@pytest.mark.parametrize(("python", "folder", "name"), CASES, indirect=["python"])
def test_what_is_shown_has_no_raw_control_characters(
    run: object, python: str, folder: str, name: str
) -> None:
    pid = run(folder, name, JOIN)  # type: ignore[operator]
    for _ in range(20):
        done = subprocess.run([*TOOL, str(pid)], capture_output=True, timeout=60, check=False)
        text = done.stdout.decode("utf-8")
        if text.startswith("deadlock"):
            break
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
    assert f"in {name}" in text
    assert 'program.py", line 7, in <module>' in text


@pytest.mark.parametrize("python", [THIS], indirect=True)
@pytest.mark.parametrize("folder", ["ascii", *(FOLDERS[each][0] for each in OF_PEOPLE)])
def test_native_frames_are_told_wherever_the_program_lies(run: object, folder: str) -> None:
    pid = run(folder, "name", JOIN)  # type: ignore[operator]
    done = subprocess.run(
        [*TOOL, "--native", str(pid)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "native: " in done.stdout, done.stdout + done.stderr
