"""JSON as this tool writes it: for programs, and harmless in a terminal."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

# The categories Cc (except what JSON itself escapes), Cf, Zl and Zp, which a terminal obeys or
# hides: DEL and the second row of control characters, direction marks, tags.
_OBEYED = re.compile(
    "[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def encode(
    value: Any, *, indent: int = 0, order: Literal["deterministic", "sorted"] | None = None
) -> bytes:
    """Return a value as JSON; what a terminal would obey or hide is spelled ``\\uXXXX``.

    Args:
        value: Anything that msgspec writes.
        indent: Spaces a level, or 0 for all on one line.
        order: Of the keys, as for `msgspec.json.encode`.

    Raises:
        UnicodeEncodeError: A text in it cannot be encoded.
    """
    data = msgspec.json.encode(value, order=order)
    if indent:
        data = msgspec.json.format(data, indent=indent)
    return harmless(data)


def harmless(data: bytes) -> bytes:
    """Return the same JSON with ``\\uXXXX`` for what a terminal would obey or hide.

    Raises:
        UnicodeDecodeError: It is no JSON.
    """
    if data.isascii() and b"\x7f" not in data:
        return data
    return _OBEYED.sub(_spell, data.decode()).encode()


def _spell(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
