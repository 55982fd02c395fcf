"""The test that a thread runs, read from the frames of its test runner.

pytest, unittest and doctest keep the test in a variable of one of their own functions for as long
as it runs, and call functions of their own for setup, call and teardown. So a test can be named
without any help from the target: nothing is set in its environment, nothing is loaded into it. What
builds on unittest (Django, nose2, Trial) has unittest's frames on the stack.

The functions and their variables are the same in pytest 3 to 9 and CPython 3.8 to 3.15. A pytest
node has its id as text in ``_nodeid``, and from 9.2 on in parts in ``_id``. Both are slots. Nothing
of the variables is kept but the test's name.
"""

from __future__ import annotations

from collections.abc import Callable

from deadlock_matrix.capture.frame_variables import FrameAddress, Interpreter, variables_of
from deadlock_matrix.capture.memory import Memory, Unreadable
from deadlock_matrix.capture.python_frames import PythonThread
from deadlock_matrix.capture.python_members import place_of_slot
from deadlock_matrix.capture.python_names import attribute_of, class_attribute_of
from deadlock_matrix.capture.python_objects import type_name
from deadlock_matrix.capture.python_strings import is_string, read_string
from deadlock_matrix.capture.python_values import names_in
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.frames import PythonFrame
from deadlock_matrix.model.stack_facts import RunningTest

NO_RUNNER = unknown("no frame of pytest, unittest or doctest is on its stack")
LONGEST = 500
"""Most characters of a test's name: pytest puts parameters into it."""

_RUNNER, _CASE, _SUITE = "/_pytest/runner.py", "/unittest/case.py", "/unittest/suite.py"
_UNITTEST_PHASES = {
    "_callSetUp": "in the setup of",
    "_callTestMethod": "in the call of",
    "_callTearDown": "in the teardown of",
    "doCleanups": "in the cleanup of",
}
_CLASS_FIXTURES = {
    "_handleClassSetUp": ("currentClass", "in the setup of class"),
    "_tearDownPreviousClass": ("previousClass", "in the teardown of class"),
    "_handleModuleFixture": ("currentModule", "in the setup of module"),
    "_handleModuleTearDown": ("previousModule", "in the teardown of module"),
}


def running_test(
    memory: Memory, python: Interpreter, thread: PythonThread
) -> Known[RunningTest] | Unknown:
    """Return the test, or what a runner does for one, from the outermost frame that shows it.

    A test may run a test runner itself; a reader looks for the outer test's name.
    """
    found: RunningTest | None = None
    try:
        for frame, address in zip(thread.frames, thread.addresses, strict=True):
            if address is None:
                continue
            if found is None:
                found = _Frame(memory, python, frame, address).test()
                continue
            doing = _Frame(memory, python, frame, address).phase_of(found)
            if doing:
                return known(RunningTest(runner=found.runner, doing=doing, test=found.test), SOURCE)
    except Unreadable as error:
        if found is None:
            return unknown(f"the test that its runner names: {error}")
    return known(found, SOURCE) if found is not None else NO_RUNNER


SOURCE = "variables of the test runner's frames in the process's memory"


class _Frame:
    """One frame, which may belong to a test runner."""

    def __init__(
        self, memory: Memory, python: Interpreter, frame: PythonFrame, address: FrameAddress
    ) -> None:
        self._memory, self._python = memory, python
        self._frame, self._address = frame, address

    def test(self) -> RunningTest | None:
        """Return what the frame says, if it is one that knows a test.

        Raises:
            Unreadable: It should say, and does not.
        """
        file, function = self._frame.file, self._frame.function
        if file.endswith(_RUNNER):
            if function == "runtestprotocol":
                return self._told("pytest", "running", "item", self._node_id)
            if function == "pytest_make_collect_report":
                return self._told("pytest", "collecting", "collector", self._node_id)
        if file.endswith(_CASE) and function == "run":
            return self._told("unittest", "running", "self", self._case_id)
        if file.endswith(_SUITE) and function in _CLASS_FIXTURES:
            variable, doing = _CLASS_FIXTURES[function]
            is_class = variable.endswith("Class")
            return self._told(
                "unittest", doing, variable, self._class_name if is_class else self._text
            )
        if file.endswith("/doctest.py") and function == "__run":
            return self._told("doctest", "running", "test", self._name)
        return None

    def phase_of(self, found: RunningTest) -> str:
        """Return what the runner is doing for this test, if this frame shows it.

        Raises:
            Unreadable: It should show it, and does not.
        """
        file, function = self._frame.file, self._frame.function
        if found.runner == "pytest":
            if file.endswith(_RUNNER) and function == "call_and_report":
                return f"in the {self._text(self._variable('when'))} of"
        elif found.runner == "unittest" and "/unittest/" in file:
            return _UNITTEST_PHASES.get(function, "")
        return ""

    def _told(
        self, runner: str, doing: str, variable: str, name_of: Callable[[int], str]
    ) -> RunningTest:
        name = name_of(self._variable(variable))
        return RunningTest(runner=runner, doing=doing, test=name)

    def _variable(self, name: str) -> int:
        for _, value in variables_of(self._memory, self._python, self._address, (name,)):
            return value
        raise Unreadable(f"{self._frame.function} has no variable {name}")

    def _text(self, address: int) -> str:
        return read_string(self._memory, self._python.layout, address, LONGEST)

    def _node_id(self, node: int) -> str:
        if old := self._slot(node, "_nodeid") or self._attribute(node, "_nodeid"):
            return self._text(old)
        parts = self._slot(node, "_id")
        if self._is_text(whole := self._slot(parts, "_str_cache")):
            return self._text(whole)
        names = names_in(self._memory, self._python.layout, self._slot(parts, "names"))
        text = "::".join([self._text(self._slot(parts, "path")), *names])
        if self._is_text(parameters := self._slot(parts, "params")):
            text += f"[{self._text(parameters)}]"
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"

    def _slot(self, instance: int, name: str) -> int:
        """Return what an instance has in a slot (``__slots__``) of this name, or 0."""
        memory, layout = self._memory, self._python.layout
        kind = memory.number(instance + layout.type_at)
        slot = class_attribute_of(memory, self._python, kind, name)
        if not slot or type_name(memory, layout, slot) != "member_descriptor":
            return 0
        place = place_of_slot(memory, self._python, slot)
        return memory.number(instance + place) if place else 0

    def _is_text(self, address: int) -> bool:
        return bool(address) and is_string(self._memory, self._python.layout, address)

    def _attribute(self, instance: int, name: str) -> int:
        return attribute_of(self._memory, self._python, instance, name)

    def _case_id(self, case: int) -> str:
        kind = self._memory.number(case + self._python.layout.type_at)
        return f"{self._class_name(kind)}.{self._text(self._attribute(case, '_testMethodName'))}"

    def _class_name(self, kind: int) -> str:
        module = class_attribute_of(self._memory, self._python, kind, "__module__")
        name = self._memory.text(self._memory.number(kind + self._python.layout.type_name_at))
        return f"{self._text(module)}.{name}" if module else name

    def _name(self, test: int) -> str:
        return self._text(self._attribute(test, "name"))
