"""A bare Debian root with what the README asks for, an ordinary user, and a clone of the project.

The root, its mounts and every process in it live in namespaces of their own and are gone with them.
Nothing is removed inside, where folders of this machine are mounted: only outside, where those
mounts have never been.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from environments import pip_settings

PROJECT = Path(__file__).parents[1]
PACKAGES = "python3,python3-venv,ca-certificates,gcc,g++,libc6-dev,git,procps"
SUITE = "bookworm"
MAKING_TIMEOUT_S = 600
ENDING_S = 20
USER, UID = "newcomer", 1000


class NoRoot(Exception):
    """Why no root can be made here."""


def make_archive(scratch: Path) -> Path:
    """A bare root as a tar file.

    Raises:
        NoRoot: It cannot be made, or could not be entered.
    """
    for tool in ("mmdebstrap", "unshare", "tar", "git"):
        if not shutil.which(tool):
            raise NoRoot(f"there is no {tool}")
    entered = subprocess.run([*namespaces(), "true"], capture_output=True, text=True, check=False)
    if entered.returncode:
        raise NoRoot(f"no namespaces: {entered.stderr.strip()}")
    archive = scratch / "root.tar"
    # A date that has passed says nothing here: the archive's signature is checked all the same.
    command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}"]
    command += ['--aptopt=Acquire::Check-Valid-Until "false"', "--aptopt=Acquire::Retries 3"]
    said = ""
    for _ in range(2):  # a mirror may be out of reach for a moment
        status, errors = _make(command, archive)
        if status == 0:
            return archive
        said = errors.strip().rpartition("\n")[2]
    raise NoRoot(f"mmdebstrap failed: {said}")


def _make(command: list[str], archive: Path) -> tuple[int, str]:
    """Run mmdebstrap so that nothing of it outlives us: its status, and what it said.

    Told to end, it removes its own folder. As root, its processes and mounts are in namespaces that
    end with it; an ordinary user's mmdebstrap makes such namespaces itself.
    """
    within = namespaces() if os.geteuid() == 0 else []
    maker = subprocess.Popen(
        [*within, *command, SUITE, str(archive)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        errors = maker.communicate(timeout=MAKING_TIMEOUT_S)[1]
    except subprocess.TimeoutExpired:
        raise NoRoot(f"mmdebstrap took longer than {MAKING_TIMEOUT_S} s") from None
    finally:
        if maker.poll() is None:
            os.killpg(maker.pid, signal.SIGTERM)
            try:
                maker.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                os.killpg(maker.pid, signal.SIGKILL)
                maker.wait()
    return maker.returncode, errors


def namespaces() -> list[str]:
    """A command's beginning that gives it mounts and processes of its own, all ended with it."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return command if os.geteuid() == 0 else [*command, "--map-root-user", "--map-auto"]


def remove(root: Path) -> None:
    """Remove a root; where we are not root ourselves, its files belong to ids of our namespace."""
    command = ["rm", "--recursive", "--force", "--one-file-system", str(root)]
    subprocess.run(command if os.geteuid() == 0 else [*namespaces(), *command], check=False)


def lay_out(root: Path, archive: Path, folder: str) -> dict[str, str]:
    """Unpack the root, mount what a system has, add the user and the clone."""
    root.mkdir()
    unpack = ["tar", "--extract", "--file", str(archive), "--directory", str(root)]
    subprocess.run([*unpack, "--exclude=./dev/*"], check=True)
    archive.unlink()
    _mount("--types", "proc", "proc", str(root / "proc"))
    _mount("--rbind", "/dev", str(root / "dev"))
    for name in ("resolv.conf", "hosts"):
        if (given := Path("/etc", name)).exists():
            shutil.copy(given, root / "etc" / name)
    add = [program("chroot"), str(root), "useradd", "--create-home", f"--uid={UID}", USER]
    subprocess.run(add, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    settings, variables = pip_settings.read(), pip_settings.variables()
    words = [word for setting in settings for word in setting.words]
    for path in pip_settings.paths([*words, *variables.values()]):
        inside = root / path.relative_to("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            inside.mkdir(exist_ok=True)
            _mount("--rbind", str(path), str(inside))
        else:
            shutil.copy(path, inside)
    (root / "etc" / "pip.conf").write_text(pip_settings.write(settings), encoding="utf-8")
    project = root / "home" / USER / folder
    clone(project)
    for path in (project, *project.rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)
    return variables


def clone(folder: Path) -> None:
    """Copy what is committed into ``folder``; the checkout may be another user's."""
    trust = {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": "*"}
    variables = {f"GIT_CONFIG_{key}": value for key, value in trust.items()}
    command = ["git", "clone", "--quiet", "--no-hardlinks", str(PROJECT), str(folder)]
    subprocess.run(command, check=True, env={**os.environ, **variables})


def program(name: str) -> str:
    """Where a program of the administrator's is, which an ordinary user's PATH may not have."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    return shutil.which(name, path=path) or name


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
