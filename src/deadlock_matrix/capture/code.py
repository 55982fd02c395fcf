"""In whose code a blocked thread is, judging by its program counter."""

from __future__ import annotations

import os

from deadlock_matrix.capture.elf import Unusable, loaded
from deadlock_matrix.capture.memory import Memory
from deadlock_matrix.model.fact import Known, Unknown, known, unknown
from deadlock_matrix.model.thread_facts import Code


def code_of(program_counter: int, memory: Memory) -> Known[Code] | Unknown:
    """Return the library, and whether it is the C library's own locking code.

    Inside libc's exported function ``syscall`` the caller is somebody else, who made a futex lock
    by hand. Static binaries have no exports, so their code counts as not libc. An interposed
    library (a sanitizer's ``pthread_mutex_lock``) still ends in libc; the stack would show it.
    """
    try:
        mapping = memory.maps.find(program_counter)
    except OSError as error:
        return unknown(f"/proc/{memory.pid}/maps: {os.strerror(error.errno or 0)}")
    if mapping is None:
        return unknown(f"{program_counter:#x} is not in a mapping")
    source = f"/proc/{memory.pid}/maps and the file's symbols"
    if not mapping.path.startswith("/"):  # [vdso], or code made at run time
        code = Code(library=mapping.path, is_libc=False, in_syscall_wrapper=False)
        return known(code, source)
    try:
        library = loaded(memory, mapping)
    except (Unusable, OSError) as error:
        return unknown(str(error))
    bounds = library.range_of("syscall")
    is_libc = library.file.is_glibc or library.file.is_musl
    return known(
        Code(
            library=mapping.path,
            is_libc=is_libc,
            in_syscall_wrapper=bounds is not None
            and is_libc
            and bounds[0] <= program_counter <= bounds[1],
        ),
        source,
    )
