"""Native libraries of three systems, made byte by byte: just what a reader of them looks at."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

X86_64, AARCH64 = 62, 183
_GLOBAL, _WEAK = 1, 2


class Texts:
    """A table of texts that end with a zero byte, and where each lies."""

    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        at = len(self.data)
        self.data += text.encode() + b"\0"
        return at


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def make_elf(
    path: Path,
    *,
    needs: Iterable[str] = (),
    name: str = "",
    rpath: str = "",
    runpath: str = "",
    exports: Iterable[str] = (),
    weak: Iterable[str] = (),
    imports: Iterable[str] = (),
    text: bytes = b"",
    machine: int = X86_64,
) -> Path:
    """A library of Linux with one segment, a dynamic table, a hash table, and no sections."""
    texts = Texts()
    tags = [(1, texts.add(each)) for each in needs]
    for tag, value in ((14, name), (15, rpath), (29, runpath)):
        tags += [(tag, texts.add(value))] if value else []
    symbols = [struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0)]
    for names, bind, section in ((exports, _GLOBAL, 1), (weak, _WEAK, 1), (imports, _GLOBAL, 0)):
        for each in names:
            place = 64 if section else 0
            symbols.append(
                struct.pack("<IBBHQQ", texts.add(each), bind << 4 | 2, 0, section, place, 8)
            )
    # One bucket, whose chain goes through all symbols.
    chain = [0, *range(2, len(symbols)), 0][: len(symbols)]
    table = struct.pack(
        f"<II{1 + len(chain)}I", 1, len(symbols), 1 if len(symbols) > 1 else 0, *chain
    )
    table += b"\0" * (-len(table) % 8)
    start = 64 + 2 * 56
    at_symbols = start + 16 * (len(tags) + 5)
    at_table = at_symbols + 24 * len(symbols)
    at_texts = at_table + len(table)
    tags += [(6, at_symbols), (4, at_table), (5, at_texts), (10, len(texts.data)), (0, 0)]
    body = b"".join(struct.pack("<qQ", *tag) for tag in tags) + b"".join(symbols)
    body += table + texts.data + b"\0" + text
    size = start + len(body)
    header = b"\x7fELF\2\1\1" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    dynamic = struct.pack("<IIQQQQQQ", 2, 6, start, start, start, *(16 * len(tags),) * 2, 8)
    return write(path, header + load + dynamic + body)


def make_mach_o(
    path: Path,
    *,
    needs: Iterable[str] = (),
    weakly: Iterable[str] = (),
    name: str = "",
    rpath: Iterable[str] = (),
    exports: Mapping[str, bool] | None = None,
    imports: Iterable[str] = (),
    text: bytes = b"",
    processor: int = 0x0100000C,
) -> Path:
    """A library of macOS for one 64-bit processor; ``exports`` says which symbols are weak."""
    return write(path, _mach_o(needs, weakly, name, rpath, exports or {}, imports, text, processor))


def make_universal(path: Path, *parts: Path) -> Path:
    """One file with the given ones in it."""
    datas = [part.read_bytes() for part in parts]
    at, heads, body = 4096, b"", b""
    for data in datas:
        processor = struct.unpack_from("<I", data, 4)[0]
        heads += struct.pack(">5I", processor, 0, at + len(body), len(data), 12)
        body += data
    head = struct.pack(">II", 0xCAFEBABE, len(datas)) + heads
    return write(path, head.ljust(at, b"\0") + body)


def _mach_o(
    needs: Iterable[str],
    weakly: Iterable[str],
    name: str,
    rpath: Iterable[str],
    exports: Mapping[str, bool],
    imports: Iterable[str],
    text: bytes,
    processor: int,
) -> bytes:
    commands = [_command(13, 24, name)] if name else []
    commands += [_command(12, 24, each) for each in needs]
    commands += [_command(0x80000018, 24, each) for each in weakly]
    commands += [_command(0x8000001C, 12, each) for each in rpath]
    texts, symbols = Texts(), b""
    for each, is_weak in exports.items():
        symbols += struct.pack("<IBBHQ", texts.add("_" + each), 0x0F, 1, 0x80 * is_weak, 64)
    imported = list(imports)
    for each in imported:
        symbols += struct.pack("<IBBHQ", texts.add("_" + each), 0x01, 0, 0, 0)
    before = 32 + sum(map(len, commands)) + 72 + 80 + 24 + 80
    at_symbols = before + len(text)
    segment = struct.pack(
        "<II16sQQQQIIII", 25, 152, b"__TEXT", 0, at_symbols, 0, at_symbols, 5, 5, 1, 0
    )
    section = struct.pack(
        "<16s16sQQIIIIIIII", b"__cstring", b"__TEXT", before, len(text), before, *[0] * 7
    )
    count = len(exports) + len(imported)
    table = struct.pack("<6I", 2, 24, at_symbols, count, at_symbols + len(symbols), len(texts.data))
    parts = struct.pack(
        "<20I", 11, 80, 0, 0, 0, len(exports), len(exports), len(imported), *[0] * 12
    )
    commands += [segment + section, table, parts]
    body = b"".join(commands)
    header = struct.pack("<8I", 0xFEEDFACF, processor, 0, 6, len(commands), len(body), 0, 0)
    return header + body + text + symbols + texts.data


def _command(kind: int, head: int, text: str) -> bytes:
    data = text.encode() + b"\0"
    data += b"\0" * (-(head + len(data)) % 8)
    return struct.pack("<III", kind, head + len(data), head).ljust(head, b"\0") + data


def make_dll(
    path: Path,
    *,
    needs: Mapping[str, Iterable[str]] | None = None,
    exports: Iterable[str] = (),
    text: bytes = b"",
) -> Path:
    """A 64-bit DLL with one section; ``needs`` maps other DLLs to the functions it calls."""
    base, section = 0x1000, bytearray()

    def put(data: bytes) -> int:
        at = base + len(section)
        section.extend(data + b"\0" * (-len(data) % 8))
        return at

    entries = b""
    for dll, functions in (needs or {}).items():
        names = [put(b"\0\0" + each.encode() + b"\0") for each in functions]
        table = struct.pack(f"<{len(names) + 1}Q", *names, 0)
        lookup, address = put(table), put(table)
        entries += struct.pack("<5I", lookup, 0, 0, put(dll.encode() + b"\0"), address)
    imports = put(entries + bytes(20))
    put(text + b"\0")
    at_exports = put(_dll_exports(base + len(section), sorted(exports)))
    size = base + len(section) - at_exports
    directories = [(at_exports, size), (imports, len(entries) + 20), *[(0, 0)] * 14]
    raw = (len(section) + 511) // 512 * 512
    optional = struct.pack("<HBBIIIII", 0x20B, 14, 0, 0, raw, 0, 0, base)
    optional += struct.pack(
        "<QIIHHHHHHIIIIHH",
        0x180000000,
        4096,
        512,
        6,
        0,
        0,
        0,
        6,
        0,
        0,
        base + 0x10000,
        512,
        0,
        2,
        0,
    )
    optional += struct.pack("<QQQQII", 1 << 20, 4096, 1 << 20, 4096, 0, 16)
    optional += b"".join(struct.pack("<II", *each) for each in directories)
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0"
    head += struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, len(optional), 0x2022) + optional
    head += struct.pack(
        "<8sIIIIIIHHI", b".rdata", len(section), base, raw, 512, 0, 0, 0, 0, 0x40000040
    )
    return write(path, head.ljust(512, b"\0") + bytes(section).ljust(raw, b"\0"))


def _dll_exports(at: int, names: list[str]) -> bytes:
    functions, pointers = at + 40, at + 40 + 4 * len(names)
    numbers = pointers + 4 * len(names)
    texts, where = b"made.dll\0", []
    for name in names:
        where.append(numbers + 2 * len(names) + len(texts))
        texts += name.encode() + b"\0"
    count = len(names)
    return (
        struct.pack(
            "<IIHHIIIIIII",
            0,
            0,
            0,
            0,
            numbers + 2 * count,
            1,
            count,
            count,
            functions,
            pointers,
            numbers,
        )
        + struct.pack(f"<{count}I", *[0x1000] * count)
        + struct.pack(f"<{count}I", *where)
        + struct.pack(f"<{count}H", *range(count))
        + texts
    )
