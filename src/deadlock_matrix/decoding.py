"""Read values of our types from JSON, in any thread, and tables from TOML files.

msgspec learns what it needs to know about a type when the type is first used, and other threads use
what it has learned before it is done (0.22): two threads that read the same type for the first time
at the same moment crash the process. So a type is learned under a lock.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from deadlock_matrix.errors import ConfigurationError

T = TypeVar("T")
_learning = threading.Lock()
_learned: dict[Any, msgspec.json.Decoder[Any]] = {}


def decode(raw: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Decode as `msgspec.json.decode` does.

    Raises:
        msgspec.DecodeError: It is not JSON, or not such a value.
    """
    found: T = _decoder(kind).decode(raw)
    return found


def learn(*kinds: Any) -> None:
    """Prepare to decode these types, which takes some milliseconds for a large one."""
    for kind in kinds:
        _decoder(kind)


def convert(value: object, kind: type[T]) -> T:
    """Convert as `msgspec.convert` does.

    Raises:
        msgspec.ValidationError: It is not such a value.
    """
    _decoder(kind)
    return msgspec.convert(value, kind)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table in a TOML file.

    Raises:
        ConfigurationError: It cannot be read, or is not TOML.
    """
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not correct TOML: {error}") from None


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    with _learning:
        if kind not in _learned:
            _learned[kind] = msgspec.json.Decoder(kind)
        return _learned[kind]
