r"""Text of CPython's ``str`` objects, read from another process's memory, in every alphabet.

Use `read_string`. It needs the `python_objects.ObjectLayout` that `python_objects.layout_of` found
(with or without a GIL), and works the same for CPython 3.8 to 3.15.

Source: ``Include/cpython/unicodeobject.h``. The object's header is followed by the length in
characters, the hash and a word of bit fields. Then:

- compact ASCII: the characters;
- compact: length and address of a UTF-8 copy (and, up to 3.11, a length of a ``wchar_t`` copy),
  then the characters, of 1 (Latin-1), 2 or 4 bytes each, as ``kind`` says;
- not compact, as a subclass of ``str`` makes: the same, then the address of the characters.

Up to 3.11 one more word precedes the ASCII characters, a ``wchar_t`` pointer. Whether it is there,
the size of ``str`` itself tells (``tp_basicsize``). The bit fields begin with ``interned``, of two
bits; a whole byte in free-threaded builds of 3.14 and later, some of which had sixteen bits. The
place of ``kind`` cannot be mistaken: it is never 0, and ``interned`` at most 3.

Reliable as long as the string lives; its contents never change once others can see it. A ``str``
that is being made, or memory that was reused, shows as `Unreadable` or as other text.
"""

from __future__ import annotations

import struct

from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_objects import ObjectLayout

LONGEST = 4096
"""Most characters read of one string; an ellipsis marks a longer one."""

_UNICODE_SUBCLASS = 1 << 28  # Py_TPFLAGS_UNICODE_SUBCLASS, Include/object.h
_BASIC_SIZE_AT, _FLAGS_AT, _BASE_AT = 16, 152, 240  # behind the header of a type object
_SIZE_WITH_WCHAR = 64  # sizeof(PyUnicodeObject) without its header: 64 up to 3.11, then 48
_ENCODINGS = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}
_BASES_LIMIT = 64


def is_string(memory: Memory, layout: ObjectLayout, address: int) -> bool:
    """Return whether an object is a ``str``, or of a subclass of it.

    Raises:
        Unreadable: It is not an object.
    """
    kind = memory.number(address + layout.type_at)
    return memory.once(
        ("is string", kind),
        lambda: bool(memory.number(kind + layout.header + _FLAGS_AT) & _UNICODE_SUBCLASS),
    )


def read_string(memory: Memory, layout: ObjectLayout, address: int, longest: int = LONGEST) -> str:
    r"""Return the text of a ``str`` object.

    A byte that Python could not decode, as in file names (``surrogateescape``), is spelled
    ``\xNN``, any other lone surrogate ``\uNNNN``: JSON carries neither. Line ends and control
    characters stay; whoever shows the text escapes them.

    Args:
        memory: The process's memory.
        layout: The layout of its objects.
        address: The object's address.
        longest: How many characters to read; if there are more, an ellipsis follows.

    Raises:
        Unreadable: It is not a string, or cannot be read.
    """
    if not is_string(memory, layout, address):
        raise Unreadable(f"no string at {address:#x}")
    kind = memory.number(address + layout.type_at)
    with_wchar = memory.once(("wchar", kind), lambda: _has_wchar(memory, layout, kind))
    fields = address + layout.header
    length, _, state = struct.unpack("<qqI", memory.read(fields, 20))
    size, compact, ascii_only = _state(state)
    if length < 0 or size not in _ENCODINGS:
        raise Unreadable(f"no string at {address:#x}")
    data = fields + (32 if with_wchar else 24)
    if not (compact and ascii_only):
        data += 24 if with_wchar else 16
    if not compact:
        data = memory.number(data)
    count = min(length, longest)
    text = _decode(memory.read(data, count * size), size)
    return text if count == length else text + "…"


def _state(word: int) -> tuple[int, bool, bool]:
    """Return bytes per character, whether it is compact, whether it is ASCII."""
    shift = 2 if word & 0xFF > 3 else 8 if word & 0xFF00 else 16
    bits = word >> shift
    return bits & 7, bool(bits & 8), bool(bits & 16)


def _has_wchar(memory: Memory, layout: ObjectLayout, kind: int) -> bool:
    """Follow the bases to ``str`` itself, whose size tells the layout."""
    for _ in range(_BASES_LIMIT):
        fields = kind + layout.header
        base = memory.number(fields + _BASE_AT)
        if not memory.number(base + layout.header + _FLAGS_AT) & _UNICODE_SUBCLASS:
            size = memory.number(fields + _BASIC_SIZE_AT) - layout.header
            return size == _SIZE_WITH_WCHAR
        kind = base
    raise Unreadable("a str with endless bases")


def _decode(raw: bytes, size: int) -> str:
    text = raw.decode(_ENCODINGS[size], "surrogatepass")
    if size == 1 or not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else character
