"""Where the fields of CPython's structures lie up to 3.12, which does not say so itself.

The names are those of ``_Py_DebugOffsets``, with which later versions begin their ``_PyRuntime``,
so that one reader serves all. Source: ``offsetof`` compiled against the headers of 3.8.18, 3.9.18,
3.10.13, 3.11.7 and 3.12.1, on x86-64; what depends on the size of a ``pthread_mutex_t``, which
glibc makes 8 bytes larger on aarch64, is listed for both.

A debug build, or a version in development, may have other structures. The reader checks what it
follows: an interpreter's threads must point back to it, a frame's code must be a ``code``.
"""

from __future__ import annotations

from collections.abc import Mapping

_TO_3_10 = {
    "runtime_state.interpreters_head": 32,
    "interpreter_state.next": 0,
    "interpreter_state.threads_head": 8,
    "thread_state.next": 8,
    "thread_state.interp": 16,
    "thread_state.frame": 24,
    "thread_state.thread_id": 176,
    "frame_object.previous": 24,
    "frame_object.code": 32,
    "frame.globals": 48,
    "frame_object.valuestack": 64,
    "code_object.firstlineno": 40,
    "code_object.nlocals": 28,
    "code_object.varnames": 72,
    "code_object.freevars": 80,
    "code_object.cellvars": 88,
    "code_object.filename": 104,
    "code_object.name": 112,
    "code_object.linetable": 120,
}
_TO_3_9 = {
    **_TO_3_10,
    "frame_object.lasti": 104,
    "frame_object.blockcount": 112,
    "frame_object.blockstack": 120,
    "frame_object.localsplus": 360,
}
_3_10 = {
    **_TO_3_10,
    "frame_object.lasti": 96,
    "frame_object.blockcount": 104,
    "frame_object.blockstack": 112,
    "frame_object.localsplus": 352,
}
_3_11 = {
    "runtime_state.interpreters_head": 40,
    "interpreter_state.next": 0,
    "interpreter_state.threads_head": 16,
    "thread_state.next": 8,
    "thread_state.interp": 16,
    "thread_state.cframe": 56,
    "thread_state.thread_id": 152,
    "thread_state.native_thread_id": 160,
    "cframe.current_frame": 8,
    "interpreter_frame.executable": 32,
    "frame.globals": 8,
    "interpreter_frame.previous": 48,
    "interpreter_frame.instr_ptr": 56,
    "interpreter_frame.owner": 69,
    "interpreter_frame.localsplus": 72,
    "code_object.firstlineno": 72,
    "code_object.localsplusnames": 96,
    "code_object.localspluskinds": 104,
    "code_object.filename": 112,
    "code_object.name": 120,
    "code_object.linetable": 136,
    "code_object.co_code_adaptive": 184,
}
_3_12 = {
    **_3_11,
    "interpreter_state.threads_head": 72,
    "interpreter_state.ceval_gil": 384,
    "interpreter_state.gil_runtime_state_holder": 8,
    "interpreter_state.gil_runtime_state_locked": 16,
    "thread_state.thread_id": 136,
    "thread_state.native_thread_id": 144,
    "cframe.current_frame": 0,
    "interpreter_frame.executable": 0,
    "frame.globals": 24,
    "interpreter_frame.previous": 8,
    "interpreter_frame.owner": 70,
    "code_object.firstlineno": 68,
    "code_object.co_code_adaptive": 192,
}

# Up to 3.10 nothing that is exported tells the version, but the size of _PyRuntime does, together
# with that of a frame. Size of _PyRuntime: version, and where it holds the thread that has the GIL.
_BY_SIZE = (
    (1464, (3, 8), {**_TO_3_9, "runtime_state.tstate_current": 1368}),
    (1480, (3, 8), {**_TO_3_9, "runtime_state.tstate_current": 1384}),
    (656, (3, 9), {**_TO_3_9, "runtime_state.tstate_current": 568}),
    (672, (3, 9), {**_TO_3_9, "runtime_state.tstate_current": 584}),
    (672, (3, 10), {**_3_10, "runtime_state.tstate_current": 568}),
    (688, (3, 10), {**_3_10, "runtime_state.tstate_current": 584}),
)


def offsets_by_version(version: tuple[int, int], architecture: str) -> Mapping[str, int] | None:
    """Return the offsets of 3.11 and 3.12, which export their version as ``Py_Version``."""
    if version == (3, 12):
        return _3_12
    if version == (3, 11):
        current = 592 if architecture == "aarch64" else 576
        return {**_3_11, "runtime_state.tstate_current": current}
    return None


def offsets_by_size(
    runtime: int, frame: int | None
) -> tuple[tuple[int, int], Mapping[str, int]] | None:
    """Return version and offsets of 3.8 to 3.10.

    Args:
        runtime: Size of ``_PyRuntime``.
        frame: Size of a frame without its variables (``tp_basicsize``), which counts one of them;
            None if no thread has a frame.
    """
    for size, version, offsets in _BY_SIZE:
        if size == runtime and frame in (None, offsets["frame_object.localsplus"] + 8):
            return version, offsets
    return None
