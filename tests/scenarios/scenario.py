"""Scenarios: one small real program each that dead-locks for ever, or only looks as if it did.

A scenario is a folder with a ``scenario.toml``, which says what to execute and what must come out,
beside the Python files and native sources of the program. See `load_scenario` and `build`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec
from packaging.specifiers import SpecifierSet

from deadlock_matrix.errors import ConfigurationError, Unavailable
from deadlock_matrix.model.verdict import Outcome, ProofKind, Verdict
from scenarios.document import (
    DOCUMENT,
    ScenarioKind,
    Variant,
    check_sources,
    read_document,
    reject,
)
from scenarios.native import (
    Compiler,
    ExtensionTarget,
    NativeKind,
    NativePart,
    ask_interpreter,
    compile_part,
    find_compiler,
)

_RECIPE = "1"  # part of every key: change it when the way of building changes


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must come out. ``proof`` is set if, and only if, the verdict is ``deadlock``.

    ``outcome`` is of the judgement on a ``hang``, where the scenario says one.
    """

    verdict: Verdict
    proof: ProofKind | None = None
    outcome: Outcome | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario, checked.

    Attributes:
        name: the folder's name.
        folders: where its files are; a file in a later folder replaces one in an earlier.
        title: one line.
        kind: deadlock or look-alike.
        statement: executed with the built folder first on ``sys.path``.
        expectation: what must come out, unless one of ``variants`` matches the interpreter.
        explanation: the mechanism; who waits for whom.
        python: PEP 440 specifier of the interpreters it applies to; empty: all.
        build: "gil" or "free-threaded" if only such an interpreter can show it; empty: both.
        platforms: values of ``sys.platform`` it applies to; empty: all.
        requires: modules the interpreter must be able to import.
        lasts_s: roughly how long a look-alike runs, in seconds.
        meanwhile: the most that may be said of a look-alike while it runs.
        environment: variables to set.
        native: what has to be compiled, in this order.
        variants: the first one that matches counts.
    """

    name: str
    folders: tuple[Path, ...]
    title: str
    kind: ScenarioKind
    statement: str
    expectation: Expectation
    explanation: str
    python: str
    build: str
    platforms: tuple[str, ...]
    requires: tuple[str, ...]
    lasts_s: float
    meanwhile: Outcome
    environment: dict[str, str]
    native: tuple[NativePart, ...]
    variants: tuple[Variant, ...]

    def applies_to(
        self, python_version: str, platform: str = sys.platform, *, free_threaded: bool = False
    ) -> bool:
        """Whether an interpreter of ``python_version`` ("3.12.1") on ``platform`` can show it."""
        on_platform = not self.platforms or platform in self.platforms
        of_build = self.build in ("", "free-threaded" if free_threaded else "gil")
        return on_platform and of_build and _matches(self.python, python_version)

    def expectation_for(self, python_version: str) -> Expectation:
        """What must come out on an interpreter of ``python_version`` ("3.12.1")."""
        for variant in self.variants:
            if _matches(variant.python, python_version):
                return Expectation(verdict=variant.verdict, proof=variant.proof)
        return self.expectation

    def files(self) -> dict[str, Path]:
        """What the program is made of: path inside the built folder -> file it is read from."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in sorted(folder.rglob("*")):
                inside = path.relative_to(folder)
                if path.is_file() and not any(_is_noise(part) for part in inside.parts):
                    found[inside.as_posix()] = path
        found.pop(DOCUMENT, None)
        return found


def load_scenarios(root: Path) -> tuple[Scenario, ...]:
    """Every scenario below ``root``, by name.

    Raises:
        ConfigurationError: ``root`` is no folder, or one of the scenarios is not correct.
    """
    if not root.is_dir():
        raise ConfigurationError(f"{root} is not a folder of scenarios")
    folders = [
        path for path in sorted(root.iterdir()) if path.is_dir() and not _is_noise(path.name)
    ]
    return tuple(load_scenario(folder) for folder in folders)


def load_scenario(folder: Path) -> Scenario:
    """Reads and checks one scenario.

    Besides what every scenario says, ``base = "other-name"`` takes the files of the scenario
    beside it as they are, except those that this folder has too.

    Raises:
        ConfigurationError: one sentence with the file, the key and what is allowed.
    """
    path = folder / DOCUMENT
    document = read_document(path)
    folders = _folders(path, document.base)
    for part in document.native:
        check_sources(path, part, folders)
    return Scenario(
        name=folder.resolve().name,
        folders=folders,
        title=document.title,
        kind=document.kind,
        statement=document.statement,
        expectation=Expectation(
            verdict=document.verdict, proof=document.proof, outcome=document.outcome
        ),
        explanation=document.explanation.strip(),
        python=document.python,
        build=document.build,
        platforms=document.platforms,
        requires=document.requires,
        lasts_s=document.lasts_s,
        meanwhile=document.meanwhile,
        environment=document.environment,
        native=document.native,
        variants=document.variant,
    )


def build(scenario: Scenario, executable: Path | str, cache: Path) -> Path:
    """Puts the program together below ``cache``, for the interpreter ``executable``.

    The folder's name holds a digest of everything that goes into it (files, flags, the compiler's
    version and, where extension modules are built, the interpreter's ABI), so that it is reused
    while nothing changes and appears whole or not at all, however many callers build it at once.

    Returns:
        The folder that belongs first on ``sys.path``.

    Raises:
        Unavailable: no compiler, no Python headers or no place to write; the message says what
            to do about it.
        ConfigurationError: a native part does not compile.
    """
    compilers = {cxx: find_compiler(cxx=cxx) for cxx in {part.is_cxx for part in scenario.native}}
    target: ExtensionTarget | None = None
    if any(part.kind is NativeKind.EXTENSION for part in scenario.native):
        target = ask_interpreter(os.fspath(executable))
    cache = cache.resolve()
    files = {inside: path.read_bytes() for inside, path in scenario.files().items()}
    final = cache / f"{scenario.name}-{_digest(scenario, files, compilers, target)}"
    if final.is_dir():
        return final
    try:
        cache.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{scenario.name}-", dir=cache))
    except OSError as error:
        raise Unavailable(
            f"nothing can be built in {cache}: {error.strerror}; choose a cache folder that can "
            "be written"
        ) from None
    try:
        draft.chmod(0o755)
        for inside, content in files.items():
            (draft / inside).parent.mkdir(parents=True, exist_ok=True)
            (draft / inside).write_bytes(content)
        for part in scenario.native:
            compile_part(
                part, folder=draft, final=final, compiler=compilers[part.is_cxx], target=target
            )
        _publish(draft, final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return final


def _publish(draft: Path, final: Path) -> None:
    try:
        draft.rename(final)
    except OSError:
        if not final.is_dir():  # otherwise another caller was faster, with the same content
            raise


def _digest(
    scenario: Scenario,
    files: dict[str, bytes],
    compilers: dict[bool, Compiler],
    target: ExtensionTarget | None,
) -> str:
    ingredients = msgspec.json.encode(
        {
            "recipe": _RECIPE,
            "files": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
            "native": scenario.native,
            "compilers": [compilers[cxx] for cxx in sorted(compilers)],
            "abi": target and (target.abi, target.include),
        }
    )
    return hashlib.sha256(ingredients).hexdigest()[:16]


def _folders(path: Path, base: str) -> tuple[Path, ...]:
    folder = path.parent.resolve()
    if not base:
        return (folder,)
    beside = [other.parent.name for other in sorted(folder.parent.glob(f"*/{DOCUMENT}"))]
    if base not in beside or base == folder.name:
        reject(path, f"base = {base!r}", base, [name for name in beside if name != folder.name])
    return (folder.parent / base, folder)


def _is_noise(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"


def _matches(specifier: str, python_version: str) -> bool:
    return SpecifierSet(specifier).contains(python_version, prereleases=True)
