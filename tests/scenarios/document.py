"""The file ``scenario.toml``: its keys, and the checks that turn it into a `Document`.

Everything wrong is one sentence with the file, the key, what is allowed and the nearest spelling.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from deadlock_matrix.decoding import read_toml
from deadlock_matrix.errors import ConfigurationError
from deadlock_matrix.model.verdict import Outcome, ProofKind, Verdict
from scenarios.native import SOURCE_SUFFIXES, NativeKind, NativePart

DOCUMENT = "scenario.toml"
EXPECTABLE = (Verdict.DEADLOCK, Verdict.HANG, Verdict.OK, Verdict.ERROR)
SHORT_OF_A_DEADLOCK = ("likely", "partial", "likely-partial")
PLATFORMS = ("linux", "darwin", "win32")
BUILDS = ("", "gil", "free-threaded")

_FOLDER_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PART_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ScenarioKind(StrEnum):
    """Whether the program is stuck for ever, or healthy although it may not look so."""

    DEADLOCK = "deadlock"
    LOOK_ALIKE = "look-alike"


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must come out instead on the interpreters that the specifier ``python`` matches."""

    python: str
    verdict: Verdict
    proof: ProofKind | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of ``scenario.toml``; `scenarios.Scenario` says what they mean."""

    title: str
    kind: ScenarioKind
    statement: str
    verdict: Verdict
    explanation: str
    proof: ProofKind | None = None
    python: str = ""
    build: str = ""
    platforms: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    lasts_s: float = 0.0
    environment: dict[str, str] = {}
    base: str = ""
    native: tuple[NativePart, ...] = ()
    variant: tuple[Variant, ...] = ()
    outcome: Outcome | None = None
    meanwhile: Outcome = "not-proved"


def read_document(path: Path) -> Document:
    """Reads and checks everything that can be told from the file itself.

    Raises:
        ConfigurationError: it is missing, no TOML, or says something that is not allowed.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path} is missing: every scenario folder needs one")
    table = read_toml(path)
    _check_keys(path, table)
    _check_values(path, table)
    try:
        document = msgspec.convert(table, Document)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    _check_document(path, document)
    return document


def check_sources(path: Path, part: NativePart, folders: tuple[Path, ...]) -> None:
    """Checks that the sources of ``part`` are files in one of ``folders``."""
    for source in part.sources:
        inside = not Path(source).is_absolute() and ".." not in Path(source).parts
        if not inside or not any((folder / source).is_file() for folder in folders):
            beside = [
                file.relative_to(folder).as_posix()
                for folder in folders
                for file in sorted(folder.rglob("*"))
                if file.suffix in SOURCE_SUFFIXES
            ]
            reject(path, f"no file {source!r} for {part.name!r}", source, beside)


def reject(path: Path, what: str, given: str, allowed: Iterable[str]) -> NoReturn:
    """Raises the sentence about ``given``, which is none of ``allowed``."""
    names = list(allowed)
    near = difflib.get_close_matches(given, names, n=1)
    guess = f", did you mean {near[0]!r}?" if near else ";"
    raise ConfigurationError(f"{path}: {what}{guess} allowed: {', '.join(names) or 'nothing here'}")


def _check_keys(path: Path, table: Mapping[str, Any]) -> None:
    _check_table(path, "", table, Document)
    for key, part in (("native", NativePart), ("variant", Variant)):
        for number, inner in enumerate(_tables(table.get(key)), start=1):
            _check_table(path, f" of [[{key}]] number {number}", inner, part)


def _check_table(
    path: Path, where: str, table: Mapping[str, Any], struct: type[msgspec.Struct]
) -> None:
    fields = msgspec.structs.fields(struct)
    names = [field.name for field in fields]
    for key in table:
        if key not in names:
            reject(path, f"unknown key {key!r}{where}", key, names)
    for field in fields:
        if field.required and field.name not in table:
            raise ConfigurationError(f"{path}: the key {field.name!r}{where} is missing")


def _check_values(path: Path, table: Mapping[str, Any]) -> None:
    variants = _tables(table.get("variant"))
    for key, allowed, tables in (
        ("kind", [kind.value for kind in ScenarioKind], [table]),
        ("kind", [kind.value for kind in NativeKind], _tables(table.get("native"))),
        ("verdict", [verdict.value for verdict in EXPECTABLE], [table, *variants]),
        ("proof", [kind.value for kind in ProofKind], [table, *variants]),
        ("outcome", SHORT_OF_A_DEADLOCK, [table]),
        ("meanwhile", SHORT_OF_A_DEADLOCK, [table]),
    ):
        for inner in tables:
            if key in inner and inner[key] not in allowed:
                reject(path, f"{key} = {inner[key]!r}", str(inner[key]), allowed)
    if "build" in table and table["build"] not in BUILDS:
        reject(path, f"build = {table['build']!r}", str(table["build"]), BUILDS[1:])
    platforms = table.get("platforms")
    for platform in platforms if isinstance(platforms, list) else ():
        if platform not in PLATFORMS:
            reject(path, f"platforms contains {platform!r}", str(platform), PLATFORMS)


def _check_document(path: Path, document: Document) -> None:
    name = path.parent.resolve().name
    if not _FOLDER_NAME.fullmatch(name):
        raise ConfigurationError(f"{path}: the folder {name!r} must be named like-this")
    for key in ("title", "statement", "explanation"):
        if not getattr(document, key).strip():
            raise ConfigurationError(f"{path}: {key} is empty")
    if "\n" in document.title.strip():
        raise ConfigurationError(f"{path}: title must be one line")
    look_alike = document.kind is ScenarioKind.LOOK_ALIKE
    if document.lasts_s and not look_alike:
        raise ConfigurationError(f"{path}: lasts_s is for look-alikes; a deadlock has no end")
    if document.outcome is not None and document.verdict is not Verdict.HANG:
        raise ConfigurationError(f"{path}: outcome is of what is judged at a deadline: of a 'hang'")
    if document.meanwhile != "not-proved" and not look_alike:
        raise ConfigurationError(f"{path}: meanwhile is for look-alikes; a deadlock may be proved")
    expectations: tuple[Document | Variant, ...] = (document, *document.variant)
    for expected in expectations:
        _check_expectation(path, expected, look_alike)
    for specifier in (document.python, *(variant.python for variant in document.variant)):
        try:
            SpecifierSet(specifier)
        except InvalidSpecifier:
            raise ConfigurationError(
                f"{path}: python = {specifier!r} is not a version specifier such as '>=3.8,<3.13'"
            ) from None
    for part in document.native:
        _check_part(path, part)
    names = [(part.kind, part.name) for part in document.native]
    if len(set(names)) != len(names):
        raise ConfigurationError(f"{path}: two [[native]] have the same kind and name")


def _check_expectation(path: Path, expected: Document | Variant, look_alike: bool) -> None:
    deadlock = expected.verdict is Verdict.DEADLOCK
    if deadlock and look_alike:
        raise ConfigurationError(f"{path}: a look-alike is healthy: its verdict is not 'deadlock'")
    if deadlock and expected.proof is None:
        kinds = _either(kind.value for kind in ProofKind)
        raise ConfigurationError(f"{path}: verdict = 'deadlock' needs proof = {kinds}")
    if not deadlock and expected.proof is not None:
        raise ConfigurationError(
            f"{path}: proof = {expected.proof.value!r} needs verdict = 'deadlock', "
            f"not {expected.verdict.value!r}"
        )


def _check_part(path: Path, part: NativePart) -> None:
    if not _PART_NAME.fullmatch(part.name):
        raise ConfigurationError(f"{path}: the native name {part.name!r} is not an identifier")
    if not part.sources:
        raise ConfigurationError(f"{path}: sources of the native part {part.name!r} is empty")
    for source in part.sources:
        if Path(source).suffix not in SOURCE_SUFFIXES:
            raise ConfigurationError(
                f"{path}: the source {source!r} of {part.name!r} must end in "
                f"{_either(sorted(SOURCE_SUFFIXES))}"
            )


def _tables(value: object) -> list[Mapping[str, Any]]:
    """The tables in an array of tables; anything else is left to the conversion to reject."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _either(values: Iterable[str]) -> str:
    return " or ".join(repr(value) for value in values)
