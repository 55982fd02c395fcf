"""Nothing private leaves the machine, and what is left can be judged as before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from golden.recordings import read, recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from deadlock_matrix.model.cell import Cell, Interpreter, Layout, Profile
from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.observation import CellResult, Output, Raised
from deadlock_matrix.model.verdict import Verdict
from deadlock_matrix.proof.judge import judge
from deadlock_matrix.report import private
from deadlock_matrix.report.plan import Plan
from deadlock_matrix.report.private import make_redaction, redact_plan, restored
from deadlock_matrix.report.redaction import HIDDEN, Private, Redaction, looks_secret
from tests.unit.test_report_samples import cell, plan, result

TOKEN = "ghp_0123456789abcdefXYZ"
ENVIRONMENT = {
    "HOME": "/home/alice",
    "USER": "alice",
    "HOSTNAME": "wonderland.example.org",
    "GITHUB_TOKEN": TOKEN,
    "PATH": "/usr/bin",
}


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account and the host that the tests run under have names too."""
    monkeypatch.setattr(private, "_account", lambda: ("", ""))
    monkeypatch.setattr(private.socket, "gethostname", lambda: "wonderland")


def redaction(
    environment: dict[str, str] | None = None, *cells: Cell, include_host: bool = False
) -> Redaction:
    return make_redaction(
        plan(cells or (cell(),), ()), environment or ENVIRONMENT, include_host=include_host
    )


# --- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/alice", "~"),
        ("/home/alice/.venv/bin/python", "~/.venv/bin/python"),
        ("cannot open '/home/alice/x': no", "cannot open '~/x': no"),
        ("file:///home/alice/x", "file://~/x"),
        ("A=/home/alice:/home/alice/b", "A=~:~/b"),
        ("it lies in /home/alice.", "it lies in ~."),
        ("/home/alice.bak/x", "/home/USER.bak/x"),
        ("/home/alice-2/x", "/home/USER-2/x"),
        ("/mnt/home/alice/x", "/mnt/home/USER/x"),
        ("/tmp/pytest-of-alice/x", "/tmp/pytest-of-USER/x"),
        ("alice@wonderland: hello, alice", "USER@HOST: hello, USER"),
        ("WONDERLAND.example.org is down", "HOST is down"),
        ("wonderland.example.org:80, wonderland.test", "HOST:80, HOST.test"),
        ("malice, alice2 and alices", "malice, alice2 and alices"),
        ("aliceinwonderland", "aliceinwonderland"),
        (f"token {TOKEN}.", f"token {HIDDEN}."),
        (f"https://x:{TOKEN}@host/", f"https://x:{HIDDEN}@host/"),
        (f"{TOKEN}{TOKEN}", HIDDEN * 2),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert redaction().text(text) == expected
    assert redaction().text(expected) == expected


def test_secrets_alone_are_taken_out_when_the_host_is_asked_for() -> None:
    text = f"/home/alice/x of alice on wonderland: {TOKEN}"
    kept = redaction(include_host=True).text(text)
    assert kept == f"/home/alice/x of alice on wonderland: {HIDDEN}"


@pytest.mark.parametrize("name", ["root", "user", "test", "admin", "main", "torch", "ab", "pack"])
def test_names_that_are_words_are_replaced_below_the_homes_alone(name: str) -> None:
    """``torch`` is watched, ``pack`` is the target of the sample cell, the others are common."""
    found = redaction({"USER": name, "HOME": "/nonexistent"})
    text = f"{name} imports {name}.nn from /opt/{name}/lib"
    assert found.text(text) == text
    assert found.text(f"/home/{name}/x /Users/{name}/y") == "/home/USER/x /Users/USER/y"
    assert found.text(rf"C:\Users\{name}\x 'C:\\Users\\{name}'") == (
        r"C:\Users\USER\x 'C:\\Users\\USER'"
    )
    assert found.text(f"/home/{name}s/x") == f"/home/{name}s/x"


def test_without_a_plan_there_are_still_words() -> None:
    found = make_redaction(None, {"USER": "decimal", "HOME": "/nonexistent", "MY_TOKEN": TOKEN})
    assert found.text(f"decimal {TOKEN} /home/decimal") == f"decimal {HIDDEN} /home/USER"


def test_two_names_do_not_become_one() -> None:
    found = redaction({"USER": "alice", "LOGNAME": "bobby", "HOME": "/nonexistent"})
    assert found.text("alice, bobby") == "USER, USER2"  # in the order of their letters


def test_the_home_of_a_daemon_is_no_home() -> None:
    assert redaction({"HOME": "/usr"}).text("/usr/lib/libc.so.6") == "/usr/lib/libc.so.6"
    assert redaction({"HOME": "/"}).text("/usr/lib") == "/usr/lib"


def test_letters_that_are_alike() -> None:
    assert (
        Redaction(Private(hosts={"cisco": "HOST"})).text("CiSco and ci\u017fco") == "HOST and HOST"
    )


def test_windows_homes() -> None:
    found = Redaction(Private(homes={r"C:\Users\alice": "~"}))
    assert found.text(r"C:\Users\alice\x") == r"~\x"
    assert found.text(repr(r"C:\Users\alice\x")) == r"'~\\x'"
    assert found.text("C:/Users/alice/x") == "~/x"


def test_a_secret_is_found_as_it_is_written_elsewhere() -> None:
    secret = 'p"a/ss\\w0rd\n+line-two'
    found = redaction({"DB_PASSWORD": secret})
    for form in (secret, repr(secret), json.dumps(secret), quote(secret, safe="")):
        assert "w0rd" not in found.text(f"<{form}>")
        assert "line-two" not in found.text(f"<{form}>")
    assert found.text("only line: +line-two") == f"only line: {HIDDEN}"


def test_the_password_in_an_address_is_secret_whatever_the_variable() -> None:
    found = redaction({"PIP_INDEX_URL": "https://me:s3cr%2Ft-pass@index.example/simple"})
    assert found.text("index https://me:s3cr%2Ft-pass@index.example/") == (
        f"index https://me:{HIDDEN}@index.example/"
    )
    assert found.text("password s3cr/t-pass") == f"password {HIDDEN}"


def test_short_secrets_are_not_searched_inside_words() -> None:
    found = redaction({"API_KEY": "abc123"})
    assert found.text("0x7fabc1234 abc123") == f"0x7fabc1234 {HIDDEN}"


@pytest.mark.parametrize("value", ["12345", "import", "threading", "torch"])
def test_values_that_are_too_short_or_words_are_not_secret(value: str) -> None:
    found = redaction({"API_KEY": value})
    assert found.text(f"{value} is written here") == f"{value} is written here"


def test_what_is_left_of_a_secret_where_a_text_was_cut() -> None:
    found, filler = redaction(), "x " * 200
    half, rest = TOKEN[:12], TOKEN[12:]
    kept = f"{filler}{half}\n[... 5 bytes cut here ...]\n{rest}{filler}"
    redacted = found.text(kept)
    assert half not in redacted
    assert rest not in redacted
    assert redacted == f"{filler}{HIDDEN}\n[... 5 bytes cut here ...]\n{HIDDEN}{filler}"
    assert found.text(f"{filler}{half}") == f"{filler}{HIDDEN}"
    assert found.text(f"{rest}{filler}") == f"{HIDDEN}{filler}"


@pytest.mark.parametrize(
    "name",
    (
        "HF_TOKEN",
        "GITHUBTOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
        "MYSQL_PWD",
        "apiKey",
        "OPENAI_API_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "SSH_AUTH_SOCK",
        "DOCKER_AUTH",
    ),
)
def test_variables_that_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    (
        "TOKENIZERS_PARALLELISM",
        "PWD",
        "OLDPWD",
        "PATH",
        "GIT_AUTHOR_NAME",
        "XKB_KEYMAP",
        "HOME",
        "OMP_NUM_THREADS",
        "LANG",
        "MKL_THREADING_LAYER",
        "KEYBOARD",
        "KMP_DUPLICATE_LIB_OK",
    ),
)
def test_variables_that_do_not(name: str) -> None:
    assert not looks_secret(name)


# --- results ------------------------------------------------------------------------------------


def planted(secret: str = TOKEN) -> CellResult:
    """A result with private things wherever a text can be."""
    of = msgspec.structs.replace(
        cell(entry="package"),
        interpreter=Interpreter(
            name="/home/alice/bin/python",
            executable="/home/alice/bin/python",
            set={"LD_LIBRARY_PATH": "/home/alice/lib"},
        ),
        profile=Profile(name="baseline", set={"HF_TOKEN": "pin", "OMP_NUM_THREADS": "1"}),
        layout=Layout(name="eager", overlays=("/home/alice/src",)),
    )
    found = result(of, Verdict.DEADLOCK)
    assert isinstance(found.observation, Known)
    said = f"alice on wonderland reads /home/alice/x with {secret}"
    observation = msgspec.structs.replace(
        found.observation.value,
        raised=Raised(type="ValueError", message=said, traceback=said),
        stdout=Output(size=9, kept=said),
        stderr=Output(size=9, kept=f"...\n{said}\n"),
        command=("/home/alice/bin/python", "-c", said),
        environment={"HF_TOKEN": "pin", "LD_LIBRARY_PATH": "/home/alice/lib"},
    )
    return msgspec.structs.replace(found, why=said, observation=known(observation, said))


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts(key)
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def test_nothing_planted_is_left_in_a_result() -> None:
    redacted = redaction().apply(planted())
    for text in texts(msgspec.to_builtins(redacted)):
        assert not re.search(f"alice|wonderland|{TOKEN}|^pin$", text), text
    assert redacted.cell.profile.set == {"HF_TOKEN": HIDDEN, "OMP_NUM_THREADS": "1"}
    assert redacted.cell.interpreter.executable == "~/bin/python"
    assert msgspec.json.decode(msgspec.json.encode(redacted), type=CellResult) == redacted


def test_redacting_again_changes_nothing() -> None:
    once = redaction().apply(planted())
    assert redaction().apply(once) is once


def test_a_result_without_anything_private_is_the_same_object() -> None:
    healthy = result()
    assert redaction().apply(healthy) is healthy


def test_words_of_the_model_are_no_names() -> None:
    """A user may be called as a phase or a verdict is; the file must still be readable."""
    names = dict.fromkeys(("entry", "deadline", "linux", "known", "pystack", "owner"), "USER")
    redacted = Redaction(Private(users=names)).apply(planted())
    assert msgspec.json.decode(msgspec.json.encode(redacted), type=CellResult) == redacted
    assert isinstance(redacted.observation, Known)
    assert redacted.observation.value.phase == "entry"


def test_two_keys_with_one_replacement_are_both_kept() -> None:
    found = Redaction(Private(homes={"/home/a": "~", "/home/b": "~"}))
    profile = Profile(name="x", set={"/home/a": "1", "/home/b": "2"})
    assert sorted(found.apply(profile).set.values()) == ["1", "2"]


def test_the_secrets_of_a_profile_are_secret_too() -> None:
    of = msgspec.structs.replace(cell(), profile=Profile(name="p", set={"HF_TOKEN": "hf_abcdef12"}))
    assert redaction({}, of).text("got hf_abcdef12") == f"got {HIDDEN}"


def test_a_redacted_plan_still_knows_what_was_selected() -> None:
    of = planted().cell
    whole = plan((of, cell()), (), selected=(of.id,), arguments=("--interpreter", "/home/alice/p"))
    redacted = redact_plan(whole, make_redaction(whole, ENVIRONMENT))
    assert b"alice" not in msgspec.json.encode(redacted)
    assert redacted.planned_cells() == (redacted.cells[0].id,)
    assert redacted.arguments == ("--interpreter", "~/p")
    assert msgspec.json.decode(msgspec.json.encode(redacted), type=Plan) == redacted


_SECRETS = st.text(st.characters(codec="utf-8"), min_size=6, max_size=40).filter(
    lambda text: text == text.strip() and text.isprintable()
)


@settings(deadline=None)
@given(secret=_SECRETS, before=st.text(), after=st.text())
def test_any_secret_is_gone(secret: str, before: str, after: str) -> None:
    found = Redaction(Private(secrets=frozenset({secret})))
    # The marks: a short secret is looked for where no other letter or digit touches it.
    redacted = found.text(f"{before}<{secret}>{after}")
    assert f"<{secret}>" not in redacted
    assert HIDDEN in redacted
    said = list(texts(msgspec.to_builtins(found.apply(planted(f"<{secret}>")))))
    assert not [text for text in said if " reads " in text and f"<{secret}>" in text]


@settings(deadline=None)
@given(
    home=st.from_regex(r"/[a-z]{1,8}/[a-z][a-z0-9_.-]{0,8}[a-z0-9]", fullmatch=True),
    rest=st.from_regex(r"(/[\w.-]{1,9}){0,3}", fullmatch=True),
)
def test_any_home_is_gone(home: str, rest: str) -> None:
    found = Redaction(Private(homes={home: "~"}))
    assert found.text(home + rest) == f"~{rest}"
    assert found.text(f"in '{home}{rest}'") == f"in '~{rest}'"


# --- judging again ------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier", recorded())
def test_redacted_evidence_is_judged_alike(identifier: str) -> None:
    """The recordings have their files below these folders."""
    found = Redaction(
        Private(
            homes={"/scenario": "~", "/usr/lib": "~USER"},
            users={"probe": "USER", "libc": "USER2"},
            secrets=frozenset({"python3.11", "python3.8", "x86_64-linux-gnu"}),
        )
    )
    evidence = read(identifier).evidence
    redacted = found.apply(evidence)
    assert redacted != evidence
    assert b"/scenario/" not in msgspec.json.encode(redacted).replace(b"/~", b"")
    assert judge(redacted) == found.apply(judge(evidence))


def test_a_path_is_restored_for_the_user_whose_it_is(tmp_path: Path) -> None:
    there = tmp_path / "of-somebody-rare" / "matrix.toml"
    there.parent.mkdir()
    there.touch()
    environment = {"HOME": "/home/somebody-rare", "USER": "somebody-rare"}
    redaction = make_redaction(None, environment)
    for path in (str(there), "/home/somebody-rare/project/matrix.toml", "~odd", "-k"):
        assert restored(redaction.apply(path), environment) == path
    assert "somebody-rare" not in redaction.apply(str(there))
