"""What the machines of a grid have, and which interpreters a run gets from that."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from deadlock_matrix.grid.announcement import (
    Announcement,
    Offer,
    label_of,
    machine_name,
    plan_interpreters,
)
from deadlock_matrix.model.cell import Interpreter
from deadlock_matrix.model.fact import Known, known
from deadlock_matrix.model.fingerprint import InterpreterFacts
from deadlock_matrix.model.report import Host
from tests.unit.test_report_samples import fingerprint

LINUX = Host(system="Linux", release="6.1", machine="x86_64", cores=4, memory_mib=known(1, "x"))
MAC = msgspec.structs.replace(LINUX, system="Darwin", machine="arm64")


def other(name: str, version: str) -> InterpreterFacts:
    facts = fingerprint(name)
    assert isinstance(facts.fingerprint, Known)
    found = msgspec.structs.replace(facts.fingerprint.value, version=version)
    return msgspec.structs.replace(facts, fingerprint=known(found, "asked"))


def announce(key: str, *facts: InterpreterFacts, host: Host = LINUX) -> Announcement:
    def offers(home: str) -> tuple[Offer, ...]:
        return tuple(
            Offer(
                label=label_of(each, host),
                interpreter=Interpreter(name=each.name, executable=f"{home}/{each.name}"),
                facts=each,
            )
            for each in facts
        )

    return Announcement(
        tool="0.1.0",
        name=f"name-of-{key}",
        key=key,
        host=host,
        jobs=2,
        compiler="cc",
        offers=offers("~"),
        private_offers=offers("/home/me"),
        environment={},
    )


def plan(*announced: Announcement, wanted: tuple[str, ...] = (), **rest: Any) -> dict[str, str]:
    planned = plan_interpreters(announced, wanted, include_host=rest.get("include_host", False))
    return {each.interpreter.name: each.label for each in planned}


def test_the_same_on_two_machines_is_one() -> None:
    found = plan(announce("a", fingerprint("x")), announce("b", fingerprint("x")))
    assert found == {"x": label_of(fingerprint("x"), LINUX)}


def test_a_name_for_two_things_becomes_two_names() -> None:
    found = plan(announce("a", fingerprint("x")), announce("b", other("x", "3.12.0")))
    assert len(found) == 2
    assert all(name == f"x@{label[-4:]}" for name, label in found.items())


def test_another_kind_of_machine_has_another_interpreter() -> None:
    assert label_of(fingerprint("x"), LINUX) != label_of(fingerprint("x"), MAC)


def test_what_nobody_has_is_unavailable_with_the_reason() -> None:
    (found,) = plan_interpreters([announce("a", fingerprint("x"))], ["z"], include_host=False)
    assert found.label == ""
    assert found.interpreter.unavailable == "no worker has an interpreter z; the workers have x"


@pytest.mark.parametrize(("wanted", "names"), [(("x*",), ["x1", "x2"]), (("y",), ["y"])])
def test_patterns_choose(wanted: tuple[str, ...], names: list[str]) -> None:
    facts = [fingerprint(name) for name in ("x1", "x2", "y")]
    assert list(plan(announce("a", *facts), wanted=wanted)) == names


def test_private_paths_are_for_those_who_ask() -> None:
    announced = announce("a", fingerprint("x"))
    for include, path in ((False, "~/x"), (True, "/home/me/x")):
        (found,) = plan_interpreters([announced], (), include_host=include)
        assert found.interpreter.executable == path


def test_a_machine_keeps_its_name_through_a_run_and_gives_none_away() -> None:
    one, two = announce("a", fingerprint("x")), announce("b", fingerprint("x"))
    names = [machine_name("run", each, include_host=False) for each in (one, two)]
    assert names == [machine_name("run", each, include_host=False) for each in (one, two)]
    assert len(set(names)) == 2
    assert all(name.startswith("host-") for name in names)
    assert machine_name("other", one, include_host=False) != names[0]
    assert machine_name("run", one, include_host=True) == "name-of-a"
