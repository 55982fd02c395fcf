"""What to try against a hang: the remedies suggested by what was proved and what was loaded."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from deadlock_matrix.app.carrying import Carried
from deadlock_matrix.app.mentions import mentioned
from deadlock_matrix.app.source_text import SourceTexts, changed
from deadlock_matrix.diagnosis.investigation.changes import (
    AFTER_IMPORT,
    MAIN_GUARD,
    changes_for,
)
from deadlock_matrix.diagnosis.investigation.clues import Clues, Wait
from deadlock_matrix.diagnosis.investigation.fitting import fitting, names_in, profiles_of
from deadlock_matrix.diagnosis.investigation.remedies import (
    candidates,
    name_of,
    other_start_methods,
    unchanged,
)
from deadlock_matrix.diagnosis.investigation.statements import FILE_IS, text_of, with_text
from deadlock_matrix.diagnosis.recognition.causes import Cause
from deadlock_matrix.diagnosis.study.study import settings_of
from deadlock_matrix.matrix.layouts import assemble
from deadlock_matrix.model.cell import Context, Entry, Layout, Profile
from deadlock_matrix.model.diagnosis import Change, Remedy, RemedyKind, Stuck, Target
from deadlock_matrix.model.fact import Known, Unknown
from deadlock_matrix.model.fingerprint import Fingerprint
from deadlock_matrix.model.verdict import Doing
from deadlock_matrix.run.environment import HARNESS_PREFIXES
from deadlock_matrix.studies import load_studies

PROXIES = frozenset(
    {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"}
)
"""Whatever talks HTTP reads these, through names that it puts together."""

MOST_COPIED = 20 << 20
"""Most bytes of a package that is copied to try a change of its source."""


class Hang(msgspec.Struct, frozen=True, kw_only=True):
    """A hang, as far as it is understood when remedies are chosen."""

    context: Context
    clues: Clues
    causes: tuple[Cause, ...]
    stuck: tuple[Stuck, ...]
    doings: tuple[Doing, ...]
    carried: Carried


class Options:
    """Finds what to try against one hang. Close it: it may have made copies of packages."""

    def __init__(self, target: Target, texts: SourceTexts, scratch: Path, cache: Path) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            target: The target that hangs.
            texts: Reads the user's files.
            scratch: A folder for changed copies.
            cache: Where layouts are assembled.
        """
        self._target = target
        self._texts = texts
        self._scratch = scratch
        self._layouts = cache / "layouts"
        self._copies: list[Layout] = []

    def remedies(
        self,
        hang: Hang,
        fingerprint: Known[Fingerprint] | Unknown,
        needed: Sequence[str] | None,
        folders: Sequence[Path],
    ) -> tuple[list[Remedy], tuple[Change, ...]]:
        """Return what to try, and the changes of the source, tried or not.

        Args:
            hang: What is known about it.
            fingerprint: Of the interpreter.
            needed: The imports needed for the hang, if that was found out.
            folders: Where the user's modules are.
        """
        target = self._with_fitting_profiles(hang, fingerprint)
        texts = self._texts.files_of(hang.stuck) | self._own_files(hang.carried, folders)
        script = str(Path(target.script).absolute()) if target.script else ""
        changes = tuple(
            each
            for each in changes_for(hang.clues, hang.stuck, hang.doings, texts)
            if each.name != AFTER_IMPORT or each.file != script  # nobody imports a script
        )
        found = list(candidates(target, hang.context, needed, sys.stdlib_module_names))
        # A thread that waits for an import waits for one of its own process, however others began.
        if hang.clues.forked_by_multiprocessing and Wait.IMPORT not in hang.clues.waits:
            found += other_start_methods(target, hang.context)
        for change in changes:
            if change.tried:
                found += self.changed(change, hang.context, folders)
        return found, changes

    def close(self) -> None:
        """Remove the copies."""
        for layout in self._copies:
            overlays = [Path(each) for each in layout.overlays]
            shutil.rmtree(assemble(overlays, self._layouts), ignore_errors=True)

    def _own_files(self, carried: Carried, folders: Sequence[Path]) -> dict[str, str]:
        """Return the user's files by path: a lock may be made in another than it is taken in."""
        paths = [str(folder / each.name) for each in carried.sources for folder in folders]
        return {path: text for path in paths if path.endswith(".py")
                and (text := self._texts.text(path))}  # fmt: skip

    def _with_fitting_profiles(
        self, hang: Hang, fingerprint: Known[Fingerprint] | Unknown
    ) -> Target:
        target, clues = self._target, hang.clues
        own = [text_of(target), hang.context.prelude]
        own += [source.text for source in hang.carried.sources]
        of_caller = variables_read_in(own) | frozenset(target.profile.set)
        if Wait.NETWORK in clues.waits:
            of_caller |= PROXIES & set(os.environ)
        profiles = (
            *_of_causes(hang.causes),
            *target.other_profiles,
            *profiles_of(settings_of(load_studies()), clues.waits),
        )
        names = names_in(profiles) | of_caller
        libraries = [*clues.involved, *clues.pools]
        found = mentioned(names, own, clues.files, libraries) | of_caller
        version = fingerprint.value.version if isinstance(fingerprint, Known) else ""
        chosen = fitting(profiles, clues, found, of_caller, _numbers(version))
        return replace(target, other_profiles=chosen)

    def _main_file(self, text: str) -> Entry:
        """Return the target's entry with its script in a file of its own: children read it too."""
        script = Path(self._target.script).absolute()
        copy = self._scratch / "main-file" / script.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
        statement = self._target.entry.statement
        named = statement.replace(f"{FILE_IS}{str(script)!r}", f"{FILE_IS}{str(copy)!r}")
        return replace(self._target.entry, statement=named)

    def changed(
        self, change: Change, context: Context, folders: Sequence[Path]
    ) -> Iterator[Remedy]:
        """Yield the target with a change made in a copy; nothing if that cannot be made."""
        target = self._target
        same = replace(
            unchanged(target, context),
            kind=RemedyKind.SOURCE,
            name=change.name,
            summary=change.why,
            change=change,
        )
        text = changed(self._texts.text(change.file), change)
        if target.script and Path(change.file) == Path(target.script).absolute():
            if change.name == MAIN_GUARD:
                yield replace(same, entry=self._main_file(text))
                return
            call = f"{change.call}()\n" if change.call else ""
            yield replace(same, entry=with_text(target, text + call))
            return
        root = _root_of(Path(change.file), folders)
        folder = self._scratch / f"change-{change.name}"
        if root is None or not _copy(Path(change.file), root, folder, text):
            return
        if target.script:  # a script puts its own folder first
            entry = target.entry
            first = f"sys.path.insert(0, {str(folder)!r})\n{FILE_IS}"
            yield replace(
                same,
                entry=replace(entry, statement=entry.statement.replace(FILE_IS, first, 1)),
            )
            return
        layout = Layout(
            name=change.name, overlays=(*target.layout.overlays, str(folder)), summary=change.why
        )
        self._copies.append(layout)
        entry = target.entry
        if change.call:
            module = _module_of(Path(change.file).relative_to(root))
            then = f"{entry.statement}\nimport {module}\n{module}.{change.call}()"
            entry = replace(entry, name=change.name, statement=then)
        yield replace(same, layout=layout, entry=entry)


def _of_causes(causes: Sequence[Cause]) -> Iterator[Profile]:
    for cause in causes:
        for remedy in cause.remedy:
            if remedy.helps and remedy.set:
                yield Profile(name=name_of(remedy.set), set=remedy.set, summary=remedy.advice)


def variables_read_in(texts: Sequence[str]) -> frozenset[str]:
    """Return variables that are set here and whose names are strings in the user's own code."""
    quoted = {name for text in texts for name in re.findall(r"""["'](\w+)["']""", text)}
    return frozenset(
        name for name in quoted & set(os.environ) if not name.startswith(HARNESS_PREFIXES)
    )


def _root_of(file: Path, folders: Sequence[Path]) -> Path | None:
    """Return the folder in which the file's top-level package lies."""
    installed = [each for each in file.parents if each.name.endswith("-packages")]
    return next((each for each in (*folders, *installed) if file.is_relative_to(each)), None)


def _copy(file: Path, root: Path, folder: Path, text: str) -> bool:
    """Copy a file's package, with another text for that file; return False if it is too large."""
    relative = file.relative_to(root)
    if len(relative.parts) > 1:
        package = root / relative.parts[0]
        if sum(each.stat().st_size for each in package.rglob("*") if each.is_file()) > MOST_COPIED:
            return False
        shutil.copytree(
            package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__")
        )
    (folder / relative).parent.mkdir(parents=True, exist_ok=True)
    (folder / relative).write_text(text, encoding="utf-8")
    return True


def _module_of(relative: Path) -> str:
    parts = list(relative.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version)[:2])
