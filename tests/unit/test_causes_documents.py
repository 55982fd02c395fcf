"""Files of known causes: what is wrong is one sentence with the file and the nearest right word."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deadlock_matrix.causes import BUILT_IN, load_causes, read_causes
from deadlock_matrix.diagnosis.recognition.cause_file import (
    SIGNS,
    parse_cause,
    parse_causes,
)
from deadlock_matrix.diagnosis.recognition.causes import Confirmation, Remedy
from deadlock_matrix.diagnosis.recognition.signs import ThreadPattern, ThreadsSign
from deadlock_matrix.errors import ConfigurationError

TELLING = {"sign": "output", "what": "w", "pattern": "x"}
GOOD: dict[str, Any] = {
    "title": "t",
    "explanation": "e",
    "all": [TELLING],
    "remedy": [{"advice": "a", "confirmed": "here", "set": {"A": "1"}, "helps": False}],
}


def sign(kind: str, **keys: Any) -> dict[str, Any]:
    return {"all": [TELLING, {"sign": kind, "what": "w", **keys}]}


def test_good_one() -> None:
    cause = parse_cause("some-cause", GOOD)
    assert cause.name == "some-cause"
    assert cause.remedy[0].confirmed is Confirmation.HERE and not cause.remedy[0].helps


def test_keys_have_hyphens() -> None:
    cause = parse_cause("c", GOOD | sign("threads", thread=[{"blocked-in": "libgomp"}]))
    threads = cause.all[1]
    assert isinstance(threads, ThreadsSign) and threads.thread[0].blocked_in == "libgomp"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"titel": "t"}, "unknown key 'titel'; did you mean 'title'?"),
        ({"name": "c"}, "'name' is the file's name; leave it out"),
        ({"title": "a\nb"}, "the title must be one line"),
        ({"explanation": " "}, "the explanation is empty"),
        ({"remedy": []}, "it has no [[remedy]]; say at least what to try"),
        (
            {"remedy": [{"advice": "a", "confirmed": "yes"}]},
            "[[remedy]] number 1: confirmed cannot be 'yes'; there are here, reported, derived",
        ),
        ({"remedy": [{"advice": "a", "confirmd": "here"}]}, "did you mean 'confirmed'?"),
        ({"all": [{"sign": "otput", "what": "w"}]}, "sign = 'otput'; did you mean 'output'?"),
        ({"all": [{"what": "w"}]}, "[[all]] number 1 lacks the key 'sign'; there are output"),
        ({"all": [TELLING | {"what": " "}]}, "'what' of a sign is empty"),
        (
            {"all": [TELLING | {"patern": "x"}]},
            "[[all]] number 1 has an unknown key 'patern'; did you mean 'pattern'?",
        ),
        ({"all": [TELLING | {"pattern": "(x"}]}, "'(x' is not a regular expression"),
        (
            sign("threads", thread=[{"waits": ["futx"]}]),
            "waits: number 1 cannot be 'futx'; did you mean 'futex'?",
        ),
        (
            sign("threads", thread=[{"wait": ["futex"]}]),
            "[[thread]] number 1 has an unknown key 'wait'",
        ),
        (sign("threads", thread=[]), "length >= 1"),
        (sign("threads", thread=[{}] * 4), "length <= 3"),
        (sign("threads", thread=[{"innermost": True}]), "'innermost' says something of 'frames'"),
        (
            sign("threads", thread=[{"frames": [{"values": {"name": "["}}]}]),
            "values: '[' is not a regular expression",
        ),
        (sign("packages", versions={"a": "2.20"}), "versions: '2.20' is not a version specifier"),
        (sign("platform", glibc="old"), "glibc: 'old' is not a version specifier"),
        (sign("end"), "an 'end' needs 'statuses' or 'signals'"),
        (sign("libraries", together=[]), "'together' is empty; name the libraries"),
        (sign("libraries", together=["lib("]), "together: 'lib(' is not a regular expression"),
        (
            {"all": [{"sign": "verdict", "what": "w", "verdicts": ["hang"]}]},
            "need one sign that points to this cause alone: imports, libraries, output",
        ),
    ],
)
def test_wrong_one(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_cause("some-cause", GOOD | change)
    text = str(raised.value)
    assert text.startswith("cause 'some-cause': ") and told in text, text
    assert "\n" not in text


def test_name_of_the_file() -> None:
    with pytest.raises(ConfigurationError, match=r"must be named like-this\.toml"):
        parse_cause("Some Cause", GOOD)


def test_every_sign_has_a_word() -> None:
    assert {"output", "threads", "proof", "symbols", "reader"} <= set(SIGNS)
    assert len(SIGNS) == 14


# --- files --------------------------------------------------------------------------------------


def test_files_in_the_package() -> None:
    names = [cause.name for cause in load_causes()]
    assert names == sorted(path.stem for path in BUILT_IN.glob("*.toml"))
    assert len(names) >= 21


def test_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('title = "t"', encoding="utf-8")
    (tmp_path / "libgomp-after-fork.toml").write_text('title = "another"', encoding="utf-8")
    tables = read_causes([tmp_path])
    assert tables["mine"] == {"title": "t"}
    assert tables["libgomp-after-fork"] == {"title": "another"}
    with pytest.raises(ConfigurationError, match="lacks the key 'explanation'"):
        parse_causes(tables)


def test_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a folder"):
        read_causes([tmp_path / "nowhere"])


@pytest.mark.parametrize(("content", "told"), [(b"a =", "not correct TOML"), (b"\xff", "read")])
def test_file_that_cannot_be_read(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=told):
        read_causes([tmp_path])


# --- the page that explains them ----------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "causes.md").read_text(encoding="utf-8")


def test_example_of_the_page() -> None:
    example = PAGE.split("```toml\n")[1].split("```")[0]
    cause = parse_cause("libgomp-after-fork", tomllib.loads(example))
    assert cause.reproduced and cause.references


@pytest.mark.parametrize("kind", SIGNS)
def test_page_tells_every_sign(kind: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if re.match(rf"\| \**`{kind}`\** \|", line)]
    assert ("**" in row) == SIGNS[kind].telling
    keys = {each.encode_name for each in msgspec.structs.fields(SIGNS[kind])} - {"what"}
    assert {key for key in keys if f"`{key}`" not in row} == set()


def test_page_tells_every_key_of_a_thread_and_of_a_remedy() -> None:
    for struct in (ThreadPattern, Remedy):
        for field in msgspec.structs.fields(struct):
            assert f"`{field.encode_name}`" in PAGE or f"`{field.encode_name} =" in PAGE
