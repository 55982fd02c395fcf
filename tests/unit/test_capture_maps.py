"""``/proc/PID/maps`` with paths of every kind."""

from __future__ import annotations

import os

import pytest

from deadlock_matrix.capture.memory import Maps

PATHS = [
    (b"/usr/lib/libc.so.6", "/usr/lib/libc.so.6"),
    ("/srv/Jürgen/проект/带 空格/a.so".encode(), "/srv/Jürgen/проект/带 空格/a.so"),
    (b"/srv/\xff\xfe/a.so", r"/srv/\xff\xfe/a.so"),
    (b"/srv/line\\012end/a.so", "/srv/line\nend/a.so"),
    (b"/srv/carriage\rreturn/a.so", "/srv/carriage\rreturn/a.so"),
    (b"/srv/space at the end ", "/srv/space at the end "),
    (b"/srv/a.so (deleted)", "/srv/a.so (deleted)"),
]


def maps_with(raw: bytes) -> Maps:
    return Maps(
        b"10000-11000 r--p 00000000 08:02 41 " + raw + b"\n"
        b"11000-12000 r-xp 00001000 08:02 41 " + raw + b"\n"
        b"12000-13000 rw-p 00002000 08:02 41 " + raw + b"\n"
        b"13000-14000 rw-p 00000000 00:00 0 \n"
        b"15000-16000 rw-p 00000000 00:00 0 [heap]\n"
        b"16000-17000 r-xp 00000000 08:02 42 /other" + raw + b"\n"
    )


@pytest.mark.parametrize(("raw", "path"), PATHS)
def test_a_file_is_found_by_the_path_that_is_shown(raw: bytes, path: str) -> None:
    maps = maps_with(raw)
    assert [library.path for library in maps.libraries()] == [path, "/other" + path]
    assert [mapping.start for mapping in maps.of_file(path)] == [0x10000, 0x11000, 0x12000, 0x13000]
    assert maps.device_and_inode(path) == (os.makedev(8, 2), 41)
    mapping = maps.find(0x11800)
    assert mapping is not None and mapping.path == path
    assert maps.of_file("/nothing") == [] and maps.device_and_inode("/nothing") is None
