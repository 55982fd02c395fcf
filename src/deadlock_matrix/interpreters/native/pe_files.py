"""DLLs and modules of Windows, read from the file by pefile: needs, exported names, texts.

This was tried on Linux with packages made for Windows, not on Windows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deadlock_matrix.interpreters.native.file import Malformed, NativeFile, Range
from deadlock_matrix.interpreters.native.symbols import EXACT, IMPORTED, find_inexact

_EXPORTS, _IMPORTS, _DELAYED = 0, 1, 13
_TEXTS = (b".rdata", b".rodata", b".data")


def read_pe(path: str) -> NativeFile:
    """Read one file.

    Raises:
        Malformed: It could not be loaded.
        OSError: It cannot be read.
    """
    import pefile

    with Path(path).open("rb"):  # pefile does not say why a file cannot be read
        pass
    try:
        with pefile.PE(path, fast_load=True) as binary:
            return _describe(path, binary)
    except (pefile.PEFormatError, ValueError, AttributeError, IndexError, TypeError) as error:
        raise Malformed(f"not a readable DLL: {error}") from None


def _describe(path: str, binary: Any) -> NativeFile:
    binary.parse_data_directories(directories=[_IMPORTS, _DELAYED])
    needed = [
        *getattr(binary, "DIRECTORY_ENTRY_IMPORT", ()),
        *getattr(binary, "DIRECTORY_ENTRY_DELAY_IMPORT", ()),
    ]
    imported = {function.name for each in needed for function in each.imports}
    names_at = _names(binary)
    names = b"\0" + bytes(binary.__data__[names_at[0] : sum(names_at)])
    exported = [name for name in EXACT if b"\0" + name.encode() + b"\0" in names]
    return NativeFile(
        path=path,
        name=Path(path).name.lower(),
        machine=hex(binary.FILE_HEADER.Machine),
        needs=tuple(dict.fromkeys(each.dll.decode("ascii", "replace") for each in needed)),
        exports=dict.fromkeys((*exported, *find_inexact(names)), False),
        imports=frozenset(name for name in IMPORTED if name.encode() in imported),
        texts=tuple(
            (section.PointerToRawData, section.SizeOfRawData)
            for section in binary.sections
            if section.Name.rstrip(b"\0") in _TEXTS
        ),
        names=(names_at,),
    )


def _names(binary: Any) -> Range:
    """Return where the names of its exports are: after the tables that point to them."""
    directory = binary.OPTIONAL_HEADER.DATA_DIRECTORY[_EXPORTS]
    if not directory.Size:
        return (0, 0)
    return int(binary.get_offset_from_rva(directory.VirtualAddress)), int(directory.Size)
