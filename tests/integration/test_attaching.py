"""Looking at a hung process with fewer rights, in namespaces made for it: an answer or a remedy."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from integration import container
from pythons import interpreter

from deadlock_matrix.model.inspection import Inspection

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="makes namespaces"),
    pytest.mark.skipif(sys.platform == "linux" and os.geteuid() != 0, reason="gives rights away"),
    pytest.mark.timeout(120),
]

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
NOBODY = "65534"
THIS = ".".join(map(str, sys.version_info[:2]))
HUNG = """\
import os, threading
first, second = threading.RLock(), threading.RLock()
met = threading.Barrier(2)
def take(one, other):
    with one:
        met.wait()
        with other: pass
threading.Thread(target=take, args=(second, first)).start()
os.write(1, b"ready\\n")
take(first, second)
"""

# A home directory that is closed to others may hold the interpreter; here it is opened, for the
# length of a mount namespace.
OPEN_HOME = """
mount --make-rprivate /
case $1 in "$HOME"/*)
    mount -t tmpfs tmpfs /mnt; mkdir /mnt/prefix; mount --rbind "$1" /mnt/prefix
    mount -t tmpfs -o mode=755 tmpfs "$HOME"; mkdir -p "$1"; mount --rbind /mnt/prefix "$1";;
esac
[ -z "$2" ] || mount -t proc -o "$2" proc /proc
shift 2
exec "$@"
"""
SIDECAR = """
mount --make-rprivate /
mount -t proc proc /proc
exec "$@"
"""


def needed(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}(1)")


def capabilities(*names: str) -> list[str]:
    """Options of setpriv(1) that leave these rights and no other, whoever the user is."""
    listed = ",".join(["-all", *(f"+{name}" for name in names)])
    return [f"--{kind}={listed}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]


def as_nobody(*names: str, proc: str = "") -> list[str]:
    """A command that starts another as another user, with these rights."""
    needed("unshare", "setpriv")
    return [
        *("unshare", "--mount", "sh", "-c", OPEN_HOME, "home", sys.base_prefix, proc),
        *("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"),
        *capabilities(*names),
    ]


@pytest.fixture
def hung() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", HUNG], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


def ask(pid: int, wrapper: list[str]) -> subprocess.CompletedProcess[bytes]:
    runs = subprocess.run(
        [*wrapper, sys.executable, "-c", ""], capture_output=True, timeout=60, check=False
    )
    if runs.returncode != 0:
        pytest.skip(f"cannot be tried here: {runs.stderr.decode('utf-8', 'replace').strip()}")
    return subprocess.run(
        [*wrapper, sys.executable, "-m", "deadlock_matrix", "inspect", "--json", str(pid)],
        capture_output=True,
        timeout=60,
        check=False,
        cwd="/",
    )


def answer(pid: int, wrapper: list[str]) -> Inspection:
    for _ in range(20):  # the last thread may still be on its way into its wait
        done = ask(pid, wrapper)
        assert done.stdout, done.stderr.decode()
        inspection = msgspec.json.decode(done.stdout, type=Inspection)
        if inspection.verdict == "deadlock":
            break
    return inspection


def refusal(pid: int, wrapper: list[str]) -> str:
    """The one sentence on standard error."""
    done = ask(pid, wrapper)
    assert done.stdout == b"" and done.returncode != 0
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def proves_it(inspection: Inspection) -> bool:
    return inspection.verdict == "deadlock" and " in take (" in inspection.sentence


# --- with rights --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rights", "version"), [("all", THIS), ("sys_ptrace", THIS), ("all", "3.8"), ("all", "3.14")]
)
def test_from_a_sidecar_that_shares_only_the_process_ids(
    tmp_path: Path, rights: str, version: str
) -> None:
    needed("nsenter", "unshare", "setpriv")
    (tmp_path / "app").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "app" / "hung.py").write_text(HUNG)
    app, root = tmp_path / "app", tmp_path / "root"
    python = interpreter(version)
    holder, reason = container.start(app, "hung.py", root, *container.PID_AND_MOUNT, python=python)
    try:
        if reason:
            pytest.skip(reason)
        inside = str(container.main_process(holder.pid))
        wrapper = ["nsenter", "--target", inside, "--pid"]
        wrapper += ["unshare", "--mount", "sh", "-c", SIDECAR, "sidecar"]
        if rights != "all":
            wrapper += ["setpriv", f"--bounding-set=-all,+{rights}"]
        inspection = answer(1, wrapper)
        assert proves_it(inspection), inspection.sentence
        assert "hung.py:7" in inspection.sentence
    finally:
        holder.kill()
        holder.communicate()


def test_as_another_user_with_two_capabilities(hung: int) -> None:
    assert proves_it(answer(hung, as_nobody("sys_ptrace", "dac_read_search")))


# --- without ------------------------------------------------------------------------------------


def test_as_another_user(hung: int) -> None:
    sentence = refusal(hung, as_nobody())
    assert "belongs to user 0" in sentence and "sudo" in sentence


def test_as_another_user_with_the_one_capability(hung: int) -> None:
    assert "add the capability DAC_READ_SEARCH" in refusal(hung, as_nobody("sys_ptrace"))


def test_as_root_without_the_capability(hung: int) -> None:
    needed("setpriv")
    sentence = refusal(hung, ["setpriv", "--bounding-set=-all"])
    assert "lacks the capability SYS_PTRACE" in sentence and "--cap-add=SYS_PTRACE" in sentence


def test_where_proc_hides_it(hung: int) -> None:
    release = tuple(int(part) for part in platform.release().split(".")[:2])
    if release < (5, 8):
        pytest.skip("hidepid would change /proc for everybody")
    assert "hidepid" in refusal(hung, as_nobody(proc="hidepid=2"))


def test_from_another_user_namespace(hung: int) -> None:
    needed("unshare")
    sentence = refusal(hung, ["unshare", "--user", "--map-root-user"])
    assert "outside of this user namespace" in sentence


@pytest.fixture(params=[1, 2])
def scope(request: pytest.FixtureRequest) -> Iterator[int]:
    """Sets Yama's restriction, and the old one again."""
    if not YAMA.exists():
        pytest.skip("this kernel has no Yama")
    old = YAMA.read_text()
    try:
        YAMA.write_text(f"{request.param}\n")
    except OSError as error:
        pytest.skip(f"kernel.yama.ptrace_scope cannot be set here: {error}")
    yield request.param
    YAMA.write_text(old)


def test_under_yama(scope: int) -> None:
    user = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
    needed("setpriv", "unshare")
    own = ["unshare", "--mount", "sh", "-c", OPEN_HOME, "home", sys.base_prefix, "", *user]
    command = [*own, sys.executable, "-c", HUNG]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            pytest.skip("another user cannot run this interpreter")
        try:
            sentence = refusal(process.pid, own)
            assert f"ptrace_scope is {scope}" in sentence and "sudo" in sentence
            assert proves_it(answer(process.pid, []))  # root has the capability
        finally:
            process.kill()
