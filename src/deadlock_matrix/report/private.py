"""What is private on this machine: secrets in variables, home directories, names."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import msgspec

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known
from deadlock_matrix.report.plan import Plan
from deadlock_matrix.report.redaction import Private, Redaction, looks_secret

LEAST_SECRET = 6  # characters
LEAST_NAME = 3

ORDINARY = frozenset(
    {
        "acquire", "action", "actions", "admin", "administrator", "agent", "app", "arch",
        "bootstrap", "build", "builder", "circleci", "conda", "container", "daemon", "debian",
        "default", "deploy", "desktop", "dev", "disabled", "docker", "enabled", "entry", "false",
        "fedora", "frozen", "futex", "gitlab", "guest", "home", "host", "import", "jenkins", "join",
        "lib", "linux", "local", "localhost", "lock", "machine", "main", "mambauser", "module",
        "nobody", "none", "null", "opt", "oracle", "owner", "password", "pipe", "private",
        "process", "public", "pytest", "python", "python3", "root", "runner", "server", "service",
        "share", "shell", "staff", "system", "temp", "test", "tester", "testing", "tests", "thread",
        "threading", "tmp", "true", "ubuntu", "user", "users", "usr", "vagrant", "var",
        "vm", "windows", "work", "worker", "workspace"
    }
)  # fmt: skip
"""Names that say nothing about anybody, and words that every report contains."""

SHARED_FOLDERS = frozenset(
    {
        "", "/", "/bin", "/dev", "/dev/null", "/etc", "/home", "/nonexistent", "/opt", "/proc",
        "/sbin", "/sys", "/tmp", "/Users", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin", "/var",
        "/var/empty", "/var/lib", "/var/tmp"
    }
)  # fmt: skip
"""Home directories of nobody in particular, such as daemons have."""


def make_redaction(
    plan: Plan | None, environment: Mapping[str, str] | None = None, *, include_host: bool = False
) -> Redaction:
    """Build what removes everything private from a run's results, or from an inspection.

    Args:
        plan: The run's plan, not redacted; ``None`` if there is none. Its own variables may hold
            secrets, and its own words are never taken for a user's name.
        environment: The variables to search for secrets; `os.environ` by default.
        include_host: Keep home directories and the names of user and host. Secrets are never kept.
    """
    own = os.environ if environment is None else environment
    words = ORDINARY | frozenset(word.lower() for word in _words(plan))
    secrets = {
        secret
        for variables in (own, *_variables(plan))
        for secret in _secrets(variables)
        if secret.lower() not in words
    }
    private = Private(secrets=frozenset(secrets))
    if not include_host:
        users = _numbered("USER", _users(own))
        private = Private(
            secrets=private.secrets,
            homes=_homes(own),
            users={name: new for name, new in users.items() if _is_name(name, words)},
            common={name: new for name, new in users.items() if not _is_name(name, words)},
            hosts={name: "HOST" for name in _hosts(own) if _is_name(name, words)},
        )
    return Redaction(private)


def redact_plan(plan: Plan, redaction: Redaction) -> Plan:
    """Redact the plan so that it may be written; what was selected is still selected."""
    redacted = redaction.apply(plan)
    if plan.selected is None:
        return redacted
    before, after = _all_cells(plan), _all_cells(redacted)
    ids = {old.id: new.id for old, new in zip(before, after, strict=True)}
    return msgspec.structs.replace(
        redacted, selected=tuple(ids.get(each, each) for each in plan.selected)
    )


def _all_cells(plan: Plan | None) -> tuple[Cell, ...]:
    return (*plan.controls, *plan.cells) if plan is not None else ()


# --- secrets ------------------------------------------------------------------------------------


def _variables(plan: Plan | None) -> Iterator[Mapping[str, str]]:
    for cell in _all_cells(plan):
        yield cell.interpreter.set
        yield cell.profile.set


def _secrets(variables: Mapping[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if looks_secret(name):
            yield from _long_enough([value.strip(), *value.splitlines()])
        # https://user:secret@host/, whatever the variable's name
        for found in re.finditer(r"://[^/\s:@]*:([^/\s@]+)@", value):
            yield from _long_enough([found[1], unquote(found[1])])


def _long_enough(values: Iterable[str]) -> Iterator[str]:
    for value in map(str.strip, values):
        if len(value) >= LEAST_SECRET:
            yield value


# --- names --------------------------------------------------------------------------------------


def _homes(environment: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for mark, home in (
        ("~USER", _account()[1]),
        ("~", environment.get("USERPROFILE", "")),
        ("~", environment.get("HOME", "")),
    ):
        for path in (home.rstrip("/\\"), os.path.realpath(home) if home else ""):
            if path not in SHARED_FOLDERS and Path(path).is_absolute():
                found[path] = mark
    # The longest first: one may be inside another.
    return dict(sorted(found.items(), key=lambda each: -len(each[0])))


def restored(text: str, environment: Mapping[str, str]) -> str:
    """Return a path as it was before redaction, for the user whose home and names are in it."""
    marks = {mark: home for home, mark in _homes(environment).items()}
    mark, slash, rest = text.partition("/")
    path = f"{marks[mark]}{slash}{rest}" if mark in marks else text
    if not slash or Path(path).exists():
        return path
    named = path
    users = _numbered("USER", _users(environment))
    for name, mark in sorted(users.items(), key=lambda each: -len(each[1])):
        named = named.replace(mark, name)
    return named if Path(named).exists() else path


def _users(environment: Mapping[str, str]) -> list[str]:
    names = [environment.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER")]
    home = Path(environment.get("HOME", "") or environment.get("USERPROFILE", ""))
    if home.parent.name in ("home", "Users"):
        names.append(home.name)
    # In the same order in all processes of a run.
    return sorted({_account()[0], *names} - {""}, key=lambda name: (-len(name), name))


def _account() -> tuple[str, str]:
    """Return name and home directory of this process's account; empty if it has none."""
    if sys.platform == "win32":
        return "", ""
    import pwd

    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:  # a container with a number in place of a user
        return "", ""
    return entry.pw_name, entry.pw_dir


def _hosts(environment: Mapping[str, str]) -> list[str]:
    # Not the name that a name server has for it: asking takes long, and tells others.
    names = {socket.gethostname(), *(environment.get(n, "") for n in ("HOSTNAME", "COMPUTERNAME"))}
    names |= {name.partition(".")[0] for name in names}
    return sorted(names - {""}, key=lambda name: (-len(name), name))


def _is_name(name: str, words: frozenset[str]) -> bool:
    return len(name) >= LEAST_NAME and name.lower() not in words


def _numbered(mark: str, names: Iterable[str]) -> dict[str, str]:
    """Give each name its own mark: one mark for two names could make two different things one."""
    return {name: f"{mark}{number if number > 1 else ''}" for number, name in enumerate(names, 1)}


def _words(plan: Plan | None) -> Iterator[str]:
    """Yield the names that Python and the matrix use; no paths, which may hold a user's name."""
    yield from sys.stdlib_module_names
    for cell in _all_cells(plan):
        yield cell.target
        for axis in (cell.profile, cell.layout, cell.entry, cell.context):
            yield axis.name
        statements = f"{cell.context.prelude}\n{cell.entry.statement}"
        for modules in re.findall(r"\b(?:import|from)\s+([\w., ]+)", statements):
            yield from re.findall(r"\w+", modules)
        for module in cell.watch_modules:
            yield from module.split(".")
    for facts in plan.interpreters if plan is not None else ():
        if isinstance(facts.fingerprint, Known):
            yield from facts.fingerprint.value.packages
