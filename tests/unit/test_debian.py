"""What is done with packages of Debian once they are unpacked."""

from __future__ import annotations

from pathlib import Path

from environments import debian


def test_an_environment_links_to_packages_and_keeps_its_own(tmp_path: Path) -> None:
    unpacked = tmp_path / "debian"
    theirs = unpacked / "usr/lib/python3/dist-packages"
    for name in ("torch", "torch-1.13.egg-info", "requests", "requests-2.28.egg-info"):
        (theirs / name).mkdir(parents=True)
    ours = tmp_path / "site-packages"
    (ours / "requests").mkdir(parents=True)
    (ours / "requests-2.34.dist-info").mkdir()
    debian.link_packages(unpacked, ours)
    links = {path.name for path in ours.iterdir() if path.is_symlink()}
    assert links == {"torch", "torch-1.13.egg-info"}
    assert (ours / "torch").resolve() == theirs / "torch"


def test_folders_with_libraries_are_those_that_the_loader_would_search(tmp_path: Path) -> None:
    for name in (
        "usr/lib/x86_64-linux-gnu/liba.so.1",
        "usr/lib/x86_64-linux-gnu/deep/libb.so.1",
        "usr/lib/libc.so.1",
        "lib/x86_64-linux-gnu/text",
        "usr/lib/python3/dist-packages/libd.so",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in debian.library_folders(tmp_path)]
    assert found == ["usr/lib/x86_64-linux-gnu", "usr/lib"]


def test_nothing_unpacked_has_no_libraries(tmp_path: Path) -> None:
    assert debian.library_folders(tmp_path / "none") == []
