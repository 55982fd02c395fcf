"""Ask a sleeping process for its alarm: one of its own threads is made to call ``getitimer``.

The kernel shows nobody another process's interval timer. So whoever is about to *end* a tree, and
nobody else, may make a thread of each process call ``getitimer(ITIMER_REAL)``, as checkpointing
tools do, and then sleep on as before. This uses the standard library only, no other module of the
package: the helper that started the processes runs it by path, since Yama may allow tracing to
ancestors alone. x86-64 only.

How to borrow a thread that sleeps in a system call (ptrace(2); the kernel's
``arch/x86/kernel/signal.c`` for the restart):

1. ``PTRACE_SEIZE`` and ``PTRACE_INTERRUPT`` stop it on its way out of the call, before the kernel
   decides how to go on: ``rax`` holds one of the kernel's own "begin again" codes, ``orig_rax`` the
   call's number, ``rip`` points behind its ``syscall`` instruction.
2. Save its registers and 32 bytes below its stack's red zone; make it execute that same instruction
   as ``getitimer``, from one system call stop to the next.
3. Put the bytes back, interrupt it once more, put the registers back *in that stop*, and let it go.
   The kernel then begins the first call again as if nothing had happened.

So only calls that restart by themselves are interrupted. ``epoll_wait`` does not (it returns
EINTR), and neither does a write to a pipe of more than PIPE_BUF: it may be partly done, would
return the part, and what was stuck would go on. No handler runs, no signal is sent, no disposition
changes (a single step would have changed one where SIGTRAP is blocked).

Whatever goes wrong, the thread is let go as it was. It is never left stopped: ptrace belongs to the
*thread* that traces, and the kernel releases everybody when that thread ends. It would release a
thread with changed registers too, so as long as they are changed, ``PTRACE_O_EXITKILL`` is set: if
we are killed then, the process ends rather than go on from a call that never returned. (Its tree is
ended anyway if we are.)
"""

import ctypes
import os
import platform
import threading
import time

PTRACE_PEEKDATA, PTRACE_POKEDATA, PTRACE_CONT = 2, 5, 7
PTRACE_GETREGS, PTRACE_SETREGS = 12, 13
PTRACE_DETACH, PTRACE_SYSCALL = 17, 24
PTRACE_SETOPTIONS, PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4200, 0x4206, 0x4207
PTRACE_O_TRACESYSGOOD, PTRACE_O_EXITKILL = 1, 1 << 20
WALL, WNOTHREAD = 0x40000000, 0x20000000

SIGTRAP = 5
EVENT_STOP = SIGTRAP | 128 << 8  # of PTRACE_INTERRUPT
SYSCALL_STOP = SIGTRAP | 0x80

GETITIMER, ITIMER_REAL = 36, 0
USER_CODE_64 = 0x33  # the cs of 64-bit code
SYSCALL_INSTRUCTION = 0x050F
BEGIN_AGAIN = (-512, -513, -514, -516)  # ERESTARTSYS, NOINTR, NOHAND, ERESTART_RESTARTBLOCK
RED_ZONE = 128
SENTINEL = 0x5A5A5A5A5A5A5A5A

WRITE, PIPE_BUF = 1, 4096
TRANSFERS = (0, 19, WRITE)  # read, readv: of a pipe alone
SAFE_CALLS = {202, 61, 247, *TRANSFERS, 7, 271, 23, 270, 35, 230, 219}
"""futex, wait4, waitid, transfers, poll, ppoll, select, pselect6, nanosleep, clock_nanosleep, and
restart_syscall, as which some of them go on: the kernel restarts them by itself, with the time that
was left.
"""

ONE_PROCESS_S = 0.5
FALLS_ASLEEP_WITHIN_S = 0.05  # a thread that somebody like us has only just let go
ALL_S = 5.0

NAMES = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
    "fs_base gs_base ds es fs gs"
).split()


class Registers(ctypes.Structure):
    """``struct user_regs_struct``."""

    _fields_ = [(name, ctypes.c_uint64) for name in NAMES]


class Odd(Exception):
    """Why the process was not asked, or did not answer."""


libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def trace(request, tid, address=0, data=0):
    """Call ptrace(2), with its errors as exceptions."""
    ctypes.set_errno(0)
    result = libc.ptrace(request, tid, address, data)
    error = ctypes.get_errno()
    if error:
        raise Odd(os.strerror(error))
    return result


class Borrowed:
    """One seized thread. ``signal`` is one that came meanwhile, to be passed on."""

    def __init__(self, tid, deadline):
        self.tid = tid
        self.deadline = deadline
        self.saved = None  # registers, from when they are changed until they are put back
        self.scratch = None  # (address, words), likewise
        self.signal = 0
        self.place = ""  # the kind of stop it is in: "trap", "call", "signal", nothing if it runs
        trace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD)

    def wait(self):
        """Wait for the next stop, and say which kind it is."""
        stop = self.next_stop()
        if stop == EVENT_STOP:
            self.place = "trap"
        elif stop == SYSCALL_STOP:
            self.place = "call"
        elif stop >> 8 == 0:
            self.place, self.signal = "signal", stop
        else:
            self.place = "stopped"  # by a stop signal, like all of its process
        return self.place

    def next_stop(self):
        """Return the status of its next stop.

        The end of the thread is only looked at, and left to its parent to collect: the parent may
        be this very process, which needs to learn of it, and the kernel reports each end once.
        """
        flags = os.WNOHANG | WALL | WNOTHREAD
        soon = time.monotonic() + ONE_PROCESS_S
        while True:
            try:
                stopped = os.waitid(os.P_PID, self.tid, os.WSTOPPED | flags)
                if stopped is not None:
                    return stopped.si_status
                # The kernel reports a stop of a traced thread whether asked or not: look at it, no
                # more.
                other = os.waitid(os.P_PID, self.tid, os.WEXITED | os.WNOWAIT | flags)
            except ChildProcessError:
                raise Odd("it ended") from None
            if other is not None and other.si_code not in (os.CLD_TRAPPED, os.CLD_STOPPED):
                raise Odd("it ended")
            if time.monotonic() > self.deadline:
                raise Odd("it did not stop in time")
            time.sleep(0.00005 if time.monotonic() < soon else 0.01)

    def resume(self, request):
        """Let it run to the next stop."""
        trace(request, self.tid)
        self.place = ""

    def interrupt(self):
        """Stop it at once."""
        trace(PTRACE_INTERRUPT, self.tid)

    def registers(self):
        """Read its registers."""
        registers = Registers()
        trace(PTRACE_GETREGS, self.tid, 0, ctypes.addressof(registers))
        return registers

    def set_registers(self, registers):
        """Write its registers."""
        trace(PTRACE_SETREGS, self.tid, 0, ctypes.addressof(registers))

    def change_registers(self, found, changed):
        """Write its registers, to be restored by `put_back`, or never to be seen by its code."""
        trace(PTRACE_SETOPTIONS, self.tid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)
        self.saved = found
        self.set_registers(changed)

    def peek(self, address):
        """Read one word of its memory."""
        return trace(PTRACE_PEEKDATA, self.tid, address) & 0xFFFFFFFFFFFFFFFF

    def put_back(self):
        """Undo everything, in a stop in which the kernel still decides how to go on."""
        if self.saved is None and self.scratch is None:
            return
        if not self.place:
            self.interrupt()
            self.wait()
        if self.scratch is not None:
            address, words = self.scratch
            for number, word in enumerate(words):
                trace(PTRACE_POKEDATA, self.tid, address + 8 * number, word)
            self.scratch = None
        # In a system call stop there is no such decision: go on to a stop where there is.
        while self.place == "call":
            self.interrupt()
            self.resume(PTRACE_CONT)
            self.wait()
        if self.saved is not None:
            self.set_registers(self.saved)
            self.saved = None
            trace(PTRACE_SETOPTIONS, self.tid, 0, PTRACE_O_TRACESYSGOOD)

    def let_go(self):
        """Put everything back, and detach; a thread that runs is let go when the tracer ends.

        A thread with changed registers is not: that may have to wait until it stops.
        """
        changed = self.saved is not None
        self.deadline = float("inf") if changed else time.monotonic() + ONE_PROCESS_S
        try:
            self.put_back()
            if self.place:
                trace(PTRACE_DETACH, self.tid, 0, self.signal)
        except Odd:
            pass  # it has ended, or it does not stop


def ask(tid, number, deadline):
    """Return the seconds until the alarm of the thread's process, 0.0 if it has none."""
    thread = Borrowed(tid, deadline)
    try:
        thread.interrupt()
        if thread.wait() != "trap":
            raise Odd("a signal came meanwhile")
        found = thread.registers()
        code = ctypes.c_int64(found.rax).value
        if found.cs != USER_CODE_64 or found.orig_rax != number:
            raise Odd("it was in another system call")
        if code not in BEGIN_AGAIN:
            raise Odd("its system call was over")
        if thread.peek(found.rip - 2) & 0xFFFF != SYSCALL_INSTRUCTION:
            raise Odd("it entered the kernel by another instruction")
        address = (found.rsp - RED_ZONE - 64) & ~15
        words = [thread.peek(address + 8 * number) for number in range(4)]
        thread.scratch = (address, words)
        for number in range(4):
            trace(PTRACE_POKEDATA, tid, address + 8 * number, SENTINEL)
        changed = Registers.from_buffer_copy(found)
        changed.rip, changed.rax, changed.orig_rax = found.rip - 2, GETITIMER, (1 << 64) - 1
        changed.rdi, changed.rsi = ITIMER_REAL, address
        thread.change_registers(found, changed)
        for _ in ("entry", "exit"):
            thread.resume(PTRACE_SYSCALL)
            if thread.wait() != "call":
                raise Odd("a signal came meanwhile")
            if thread.registers().orig_rax != GETITIMER:
                raise Odd("it made another system call")
        result = ctypes.c_int64(thread.registers().rax).value
        seconds, parts = thread.peek(address + 16), thread.peek(address + 24)
        if result != 0 or SENTINEL in (seconds, parts):
            raise Odd(f"getitimer answered {result}")
        return seconds + parts / 1_000_000
    finally:
        thread.let_go()


def read(path):
    """Read a small file of /proc as text."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def field(text, name):
    """Return a field of /proc/PID/status."""
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return line.split()[1]
    return ""


def quiet_thread(pid):
    """Find a thread that sleeps in a call that may be interrupted, and the call's number."""
    end = time.monotonic() + FALLS_ASLEEP_WITHIN_S
    while True:
        found = find_quiet_thread(pid)
        if found is not None:
            return found
        if time.monotonic() > end:
            raise Odd("none of its threads sleeps in a system call that may be interrupted")
        time.sleep(0.001)


def find_quiet_thread(pid):
    """Do as `quiet_thread`, but return None if there is none at the moment."""
    for tid in sorted(map(int, os.listdir(f"/proc/{pid}/task"))):
        status = read(f"/proc/{pid}/task/{tid}/status")
        if field(status, "State") != "S":
            continue
        if field(status, "TracerPid") != "0":
            raise Odd("it is traced already")
        filters = field(status, "Seccomp_filters"), field(status, "Seccomp")
        own = read("/proc/self/status")
        if filters != (field(own, "Seccomp_filters"), field(own, "Seccomp")):
            raise Odd("its system calls are filtered")
        words = read(f"/proc/{pid}/task/{tid}/syscall").split()
        if len(words) < 9 or int(words[0]) not in SAFE_CALLS:
            continue
        if int(words[0]) in TRANSFERS:
            number = int(words[1], 16) & 0xFFFFFFFF
            if not os.readlink(f"/proc/{pid}/fd/{number}").startswith("pipe:["):
                continue
            if int(words[0]) == WRITE and int(words[3], 16) > PIPE_BUF:
                continue
        return tid, int(words[0])
    return None


def look(pids, within_s=ALL_S):
    """Ask every process; end within ``within_s`` seconds and a little more.

    Returns:
        For each process the seconds until its alarm (0.0 if it has none), or a text that says why
            they are unknown.
    """
    end = time.monotonic() + within_s
    found = {}
    for pid in pids:
        now = time.monotonic()
        try:
            if platform.machine() != "x86_64" or ctypes.sizeof(ctypes.c_void_p) != 8:
                raise Odd("not done on this kind of processor")
            if now >= end:
                raise Odd("there was no time left")
            found[pid] = ask(*quiet_thread(pid), min(end, now + ONE_PROCESS_S))
        except (Odd, OSError, ValueError) as error:
            found[pid] = str(error)
    return found


def look_in_a_thread(pids, within_s=ALL_S):
    """Do as `look`, in a thread that ends at once, so that nobody stays traced."""
    found = {}
    thread = threading.Thread(target=lambda: found.update(look(pids, within_s)), daemon=True)
    thread.start()
    thread.join(within_s + 2 * ONE_PROCESS_S)
    return dict(found)
