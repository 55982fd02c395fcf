"""Assemble a package from overlays, as a layout describes it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from deadlock_matrix.errors import ConfigurationError

# Enough of SHA-256 to distinguish contents, and short: the path shows up in every traceback.
_DIGEST_CHARACTERS = 16


def assemble(overlays: Sequence[Path], cache: Path) -> Path:
    """Copy folders over one another into a folder named after their combined content.

    What has been assembled once is returned as it is, including byte code that interpreters left in
    it; the sources' modification times are kept, so that such byte code stays valid. Any number of
    processes may assemble the same overlays at once.

    Args:
        overlays: The folders to copy; a file in a later one replaces its namesake in earlier ones.
            Folders called ``__pycache__`` are left out.
        cache: Where assembled folders are kept; made if it does not exist.

    Returns:
        The folder to put on ``sys.path``. It is shared: do not write sources into it.

    Raises:
        ConfigurationError: There is no overlay, or no file in any, one is not a folder, or one has
            a file where another has a folder.
    """
    sources = _merge(overlays)
    if not sources:
        given = ", ".join(map(str, overlays))
        raise ConfigurationError(f"layout folders without a file: {given}; name one with a package")
    contents = {name: source.read_bytes() for name, source in sources.items()}
    target = cache / _digest(contents)
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        # Beside the target, since a rename is atomic only within one file system.
        with tempfile.TemporaryDirectory(prefix=".assembling-", dir=cache) as scratch:
            built = Path(scratch) / target.name
            _write(contents, sources, built)
            _publish(built, target)
    return target


def content_digest(overlays: Sequence[Path]) -> str:
    """Return the name that `assemble` gives to the assembled folders, without writing anything.

    Raises:
        ConfigurationError: As for `assemble`.
    """
    return _digest({name: source.read_bytes() for name, source in _merge(overlays).items()})


def _merge(overlays: Sequence[Path]) -> dict[PurePosixPath, Path]:
    if not overlays:
        raise ConfigurationError("no layout folder given: at least one is needed to assemble")
    sources: dict[PurePosixPath, Path] = {}
    for overlay in overlays:
        if not overlay.is_dir():
            raise ConfigurationError(f"layout folder {str(overlay)!r} does not exist")
        for path in _files(overlay):
            sources[PurePosixPath(path.relative_to(overlay).as_posix())] = path
    for name, source in sources.items():
        if clash := next((sources[parent] for parent in name.parents if parent in sources), None):
            raise ConfigurationError(
                f"layout file {str(clash)!r} stands where {str(source)!r} needs a folder"
            )
    return sources


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(root, name) for name in files)


def _digest(contents: Mapping[PurePosixPath, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        # Lengths first: without them, moving bytes from a name to its content changes nothing.
        encoded = os.fsencode(name)
        digest.update(b"%d %d " % (len(encoded), len(content)) + encoded + content)
    return digest.hexdigest()[:_DIGEST_CHARACTERS]


def _write(
    contents: Mapping[PurePosixPath, bytes], sources: Mapping[PurePosixPath, Path], folder: Path
) -> None:
    # What was hashed is what is written: reading a second time could find an edited file.
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        shutil.copystat(sources[name], path)


def _publish(built: Path, target: Path) -> None:
    try:
        built.rename(target)
    except OSError:
        # A folder cannot be renamed onto one that is not empty. If it is there by now, another
        # process was faster, and its content is the same.
        if not target.is_dir():
            raise
