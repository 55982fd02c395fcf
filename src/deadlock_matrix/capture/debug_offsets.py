"""Where the fields of CPython's structures lie, as the interpreter itself says from 3.13 on.

``_PyRuntime`` begins with ``_Py_DebugOffsets``: a cookie, the version, whether it is free-threaded,
and then one 64-bit number per field. Which fields there are, and in which order, differs
between minor versions and is fixed within one. Source: ``Include/internal/pycore_runtime.h`` of
3.13, ``Include/internal/pycore_debug_offsets.h`` of 3.14 and 3.15.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from deadlock_matrix.capture.memory import Memory, Unreadable

COOKIE = b"xdebugpy"
_HEAD = 24  # cookie, version, free_threaded

_RUNTIME = "runtime_state: size finalizing interpreters_head"
_CODE = (
    "code_object: size filename name qualname linetable firstlineno argcount localsplusnames "
    "localspluskinds co_code_adaptive"
)
_OBJECT = "pyobject: size ob_type"

_3_13 = (
    _RUNTIME,
    "interpreter_state: size id next threads_head gc imports_modules sysdict builtins ceval_gil "
    "gil_runtime_state gil_runtime_state_enabled gil_runtime_state_locked gil_runtime_state_holder",
    "thread_state: size prev next interp current_frame thread_id native_thread_id datastack_chunk "
    "status",
    "interpreter_frame: size previous executable instr_ptr localsplus owner",
    _CODE,
    _OBJECT,
)
_3_14 = (
    _RUNTIME,
    "interpreter_state: size id next threads_head threads_main gc imports_modules sysdict builtins "
    "ceval_gil gil_runtime_state gil_runtime_state_enabled gil_runtime_state_locked "
    "gil_runtime_state_holder code_object_generation tlbc_generation",
    "thread_state: size prev next interp current_frame thread_id native_thread_id datastack_chunk "
    "status",
    "interpreter_frame: size previous executable instr_ptr localsplus owner stackpointer "
    "tlbc_index",
    f"{_CODE} co_tlbc",
    _OBJECT,
)
_3_15 = (
    *_3_14[:2],
    "thread_state: size prev next interp current_frame base_frame last_profiled_frame "
    "last_profiled_frame_seq thread_id native_thread_id datastack_chunk status holds_gil "
    "gil_requested current_exception exc_state",
    "err_stackitem: exc_value",
    *_3_14[3:],
)
_FIELDS = {
    version: tuple(
        f"{group}.{field}"
        for line in lines
        for group, _, fields in [line.partition(": ")]
        for field in fields.split()
    )
    for version, lines in (((3, 13), _3_13), ((3, 14), _3_14), ((3, 15), _3_15))
}
_LARGEST = 1 << 20
"""No structure of CPython is larger than a few hundred KiB, so a larger offset is not one."""


def says_free_threaded(memory: Memory, runtime: int) -> bool:
    """Return whether the interpreter says that it is free-threaded; up to 3.12 none is.

    Raises:
        Unreadable: The memory cannot be read.
    """
    head = memory.read(runtime, _HEAD)
    return head.startswith(COOKIE) and bool(struct.unpack_from("<QQ", head, len(COOKIE))[1])


def read_offsets(memory: Memory, runtime: int) -> Mapping[str, int]:
    """Return offsets in bytes by name, such as ``code_object.filename``; none before 3.13.

    ``version`` is ``PY_VERSION_HEX``, ``free_threaded`` is 0 or 1. Both are there whenever the
    cookie is; offsets only for versions whose order of fields is known here.

    Raises:
        Unreadable: The memory cannot be read, or an offset is not one.
    """
    head = memory.read(runtime, _HEAD)
    if not head.startswith(COOKIE):
        return {}
    version, free_threaded = struct.unpack_from("<QQ", head, len(COOKIE))
    names = _FIELDS.get((version >> 24 & 0xFF, version >> 16 & 0xFF), ())
    values = struct.unpack(f"<{len(names)}Q", memory.read(runtime + _HEAD, 8 * len(names)))
    if free_threaded > 1 or any(value > _LARGEST for value in values):
        raise Unreadable("_Py_DebugOffsets does not hold offsets")
    offsets = dict(zip(names, values, strict=True))
    if "interpreter_frame.executable" in offsets:
        # Not listed, but the same in all of them: behind code, previous frame and function.
        offsets["frame.globals"] = offsets["interpreter_frame.executable"] + 24
    return {"version": version, "free_threaded": free_threaded, **offsets}
