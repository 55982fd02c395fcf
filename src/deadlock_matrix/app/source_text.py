"""The text of source lines, and the paths that a reader knows instead of assembled copies'."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from deadlock_matrix.diagnosis.stuck import ENTRY
from deadlock_matrix.model.diagnosis import Change, Diagnosis, SourceLine, Stuck

MOST_BYTES = 1 << 20


class SourceTexts:
    """Reads each file once. A file that cannot be read has no lines."""

    def __init__(self, statement: str, overlays: Sequence[Path], assembled: Path) -> None:
        """Prepare; nothing is read yet.

        Args:
            statement: The entry's code, whose file is called ``<entry>``.
            overlays: The folders of the layout; a later one lies on top.
            assembled: The folder in which layouts are assembled.
        """
        self._statement = statement
        self._overlays = overlays
        self._assembled = str(assembled.absolute())
        self._texts: dict[str, str] = {}

    def text(self, file: str) -> str:
        """Return the whole text of a file, as Python reads it."""
        if file not in self._texts:
            self._texts[file] = self._read(file)
        return self._texts[file]

    def line(self, file: str, number: int) -> str:
        """Return the text of one line, without its indentation; empty if there is none."""
        lines = self.text(self.original(file)).splitlines()
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""

    def original(self, file: str) -> str:
        """Return where the user has a file from which a layout was assembled."""
        if not file.startswith(f"{self._assembled}/"):
            return file
        parts = Path(file).relative_to(self._assembled).parts[1:]
        for overlay in reversed(self._overlays):
            if (path := overlay.joinpath(*parts)).is_file():
                return str(path)
        return file

    def with_users_paths(self, diagnosis: Diagnosis) -> Diagnosis:
        """Return the diagnosis with the user's paths instead of those of assembled layouts."""
        copies = re.compile(re.escape(self._assembled.encode()) + rb'/[0-9a-f]+/[^"\\\\: ,)]+')
        document = msgspec.json.encode(diagnosis)
        changed = copies.sub(lambda found: self.original(found[0].decode()).encode(), document)
        if changed == document:
            return diagnosis
        return msgspec.json.decode(changed, type=Diagnosis)

    def fill(self, stuck: Iterable[Stuck]) -> tuple[Stuck, ...]:
        """Return the same threads, with the text of their lines and the user's paths."""
        return tuple(
            replace(each, lines=tuple(self.filled(line) for line in each.lines)) for each in stuck
        )

    def files_of(self, stuck: Iterable[Stuck]) -> dict[str, str]:
        """Return the texts of the files that the threads are in."""
        names = dict.fromkeys(line.file for each in stuck for line in each.lines)
        return {name: text for name in names if name != ENTRY and (text := self.text(name))}

    def filled(self, line: SourceLine) -> SourceLine:
        """Return the line with its text, and with the user's path."""
        text = self.line(line.file, line.line)
        return replace(line, file=self.original(line.file), text=text)

    def _read(self, file: str) -> str:
        if file == ENTRY:
            return self._statement
        try:
            path = Path(file)
            if not path.is_file() or path.stat().st_size > MOST_BYTES:
                return ""
            with tokenize.open(file) as source:
                return source.read()
        except (OSError, SyntaxError, UnicodeError, ValueError):
            return ""


def changed(text: str, change: Change) -> str:
    """Return a file's text with a change made."""
    lines = text.splitlines()
    first = change.line - 1
    lines[first : first + len(change.before)] = change.after
    return "\n".join([*lines, ""])
