"""A small process between us and the probes: starts them, and leaves none of them behind.

It is a *child subreaper* (prctl(2)): a descendant whose parent ends becomes its child, even if it
left the process group or the session, or ignores every signal it can. So the tree below this
process is complete at any moment, and can be ended: first it stops everything, since a stopped
process cannot fork, until a look at the tree finds nobody new; then it kills and reaps everything.

It also ends the tree when the process that started it goes away for any reason: the socket then
reports end of file. Its own parent is the *guard*, a second subreaper in its own session. If a
probe stops this process, the guard continues it. If a probe kills it, the guard inherits the tree
and ends it. Run it by path with ``-I -S``; it uses only the standard library, and no other module
of the package. One tree at a time.

Messages are JSON, one a packet. In: ``spawn`` (with descriptors: the three standard streams, and a
file that holds the order), ``alarms`` (ask these processes for theirs, by the script given; see
there), ``end``, ``release`` (go away and leave the tree alone). Out: ``ready``, ``started``,
``failed``, ``exited``, ``alarms``, ``ended``, ``released``.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import runpy
import select
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
WALL = 0x40000000  # waitid(2): also children that end without a signal
END_WITHIN_S = 10.0
MOST_QUICK_LOOKS = 200  # some 20 ms
UNKILLABLE_AFTER_S = 0.7
STARTS_WITHIN_S = 0.5  # an execve may wait for a file server
MOST_DESCRIPTORS = 250  # in one packet; the kernel allows 253
RELEASED = 3  # our exit status when the tree is to live on
SESSION = os.getsid(0)  # that of whoever started us; the guard leaves it

libc = ctypes.CDLL(None, use_errno=True)


def processes():
    """Return every process's parent, state, process group and session, from /proc/PID/stat."""
    table = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    text = file.read()
            except OSError:
                continue  # gone meanwhile
            # The name is in parentheses and may contain anything, even a parenthesis.
            state, parent, group, session = text[text.rindex(b")") + 2 :].split(None, 4)[:4]
            table[int(name)] = (int(parent), state.decode(), int(group), int(session))
    return table


def descendants():
    """Return state, group and session of all processes below this one, including zombies."""
    table = processes()
    children = {}
    for pid, (parent, *_) in table.items():
        children.setdefault(parent, []).append(pid)
    found = {}
    waiting = [os.getpid()]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            found[pid] = table[pid][1:]
            waiting.append(pid)
    return found


def children_of(pid):
    """Return the ids of a process's children, even zombies, from /proc/PID/task/TID/children.

    Empty if the process is gone, or the kernel was built without CONFIG_PROC_CHILDREN.
    """
    found = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def has_children():
    """Return whether a process below us is left: one that loses its parent becomes our child."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | WALL)
    except ChildProcessError:
        return False
    return True


class Supervisor:
    def __init__(self, channel, ignored, blocked):
        self.channel = channel
        self.ignored = ignored  # signals that whoever started us wants ignored
        self.blocked = blocked  # and those that are blocked there
        # What a new process must not inherit of us; it would take long to find that out itself.
        # Handlers end with execve.
        self.inherited = [
            number
            for number in signal.valid_signals()
            if signal.getsignal(number) is signal.SIG_IGN
        ]
        self.main = 0  # the process asked for, until it is reaped
        self.given_up = set()  # ids of processes that outlasted SIGKILL

    def send(self, **message):
        self.channel.send(json.dumps(message).encode())

    def spawn(self, request, descriptors):
        """Fork and execute; the new process has nothing of ours but what the request lists.

        Whatever Python does between fork and execve is done in memory that the two processes share,
        and that is copied, page by page, as it is touched: each line there costs ten times as much
        as elsewhere.
        """
        numbers = (0, 1, 2, *request["numbers"])
        taken = not set(numbers).isdisjoint(descriptors)
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                if not request["may_outlive"]:
                    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # should even the guard be killed
                # A probe starts as from a fresh shell; a user's command as without us, so that
                # nohup means what it says.
                if request["new_session"]:
                    os.setsid()
                    self.pass_on_signals((), ())
                else:
                    self.pass_on_signals(self.ignored, self.blocked)
                if taken:  # first move them out of the way
                    apart = fcntl.F_DUPFD_CLOEXEC, max(*numbers, *descriptors) + 1
                    descriptors = [fcntl.fcntl(each, *apart) for each in descriptors]
                for number, descriptor in zip(numbers, descriptors, strict=True):
                    os.dup2(descriptor, number)
                os.chdir(request["cwd"])
                self.execute(request["argv"], request["env"], write_end)
            except BaseException as error:
                tell_problem(write_end, f"{type(error).__name__}: {error}")
            finally:
                os._exit(127)
        os.close(write_end)
        # execve closes the pipe, which gives end of file at once. While it waits for a file server
        # there is none: then it counts as started, and ends with 127 if it fails after all.
        problem = b""
        while readable([read_end], STARTS_WITHIN_S):
            if not (more := os.read(read_end, 1 << 16)):
                break
            problem += more
        os.close(read_end)
        if problem:
            os.waitpid(pid, 0)
            self.send(event="failed", **json.loads(problem))
        else:
            self.main = pid
            self.send(event="started", pid=pid)

    def pass_on_signals(self, ignored, blocked):
        """Ignore and block these, and no others, in a new process."""
        for number in self.inherited:
            if number not in ignored:
                signal.signal(number, signal.SIG_DFL)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        if blocked:  # we block none
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def execute(self, arguments, environment, write_end):
        """Look for the program as a shell does, and become it.

        Only here: a folder of PATH may be on a file server that does not answer.
        """
        try:
            if "/" in arguments[0]:
                os.execve(arguments[0], arguments, environment)
            os.execvpe(arguments[0], arguments, environment)
        except (FileNotFoundError, NotADirectoryError) as error:
            # A script whose interpreter is missing is there all the same.
            missing = not os.path.exists(arguments[0]) if "/" in arguments[0] else True
            tell_problem(write_end, f"{type(error).__name__}: {error}", missing=missing)

    def reap(self):
        """Collect whoever has ended, and report it if it is the process asked for.

        Mostly nobody else is left by then, which is reported, too: there is nothing to end.
        """
        ended = []
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if os.WIFSTOPPED(status):
                    continue  # of a process that was asked for its alarm, and has been let go
                if pid == self.main:
                    self.main = 0
                    ended.append(os.waitstatus_to_exitcode(status))
        for status in ended:
            self.send(event="exited", status=status, alone=not has_children())

    def alarms(self, script, pids, within_s):
        """Ask each process for its alarm; Yama may allow that only to an ancestor, which we are."""
        try:
            return runpy.run_path(script)["look_in_a_thread"](pids, within_s)
        except Exception as error:
            return {pid: f"{type(error).__name__}: {error}" for pid in pids}

    def end(self, patience_s=UNKILLABLE_AFTER_S):
        """End the whole tree; return how many were ended and a text for each that could not be.

        A process that is in state D for ``patience_s``, although it was sent SIGKILL, is given up.
        """
        self.main = 0  # its exit status is no news from here on
        self.reap()
        if not has_children():  # nearly always; looking at all processes takes much longer
            return 0, []
        began = movable = time.monotonic()
        seen = set()
        while time.monotonic() < began + END_WITHIN_S:
            tree = descendants()
            alive = {pid for pid, (state, *_) in tree.items() if state not in "ZX"}
            if any(tree[pid][0] != "D" for pid in alive):
                movable = time.monotonic()
            elif alive and (alive <= self.given_up or time.monotonic() > movable + patience_s):
                self.given_up |= alive
                break
            if not alive - seen:
                for pid in alive:
                    send_signal(pid, signal.SIGKILL)
                self.reap()
                if not descendants():
                    return len(seen), []
                time.sleep(0.002)
            # A relay, whose every member forks the next and ends, is faster than this loop; but a
            # whole group is stopped at once. One in our own session may have members that are not
            # ours.
            for group in {tree[pid][1] for pid in alive if tree[pid][2] != SESSION}:
                send_signal(-group, signal.SIGSTOP)
            for pid in alive - seen:
                send_signal(pid, signal.SIGSTOP)
            seen |= alive | self.stop_quickly()
        left = [
            f"process {pid}, state {state}"
            for pid, (state, *_) in sorted(descendants().items())
            if state not in "ZX"
        ]
        return len(seen) - len(left), left

    def stop_quickly(self):
        """Stop what is below us, until two looks find the same; return the ids of all met.

        A relay that makes a session for each member is in no group for long. Reading all of /proc
        takes longer than its member lives; reading the children of a few takes less.
        """
        met = set()
        before = None
        for _ in range(MOST_QUICK_LOOKS):
            self.reap()
            below = set()
            waiting = [os.getpid()]
            while waiting:
                pid = waiting.pop()
                for child in children_of(pid):
                    if child not in below:
                        send_signal(child, signal.SIGSTOP)
                        below.add(child)
                        waiting.append(child)
            if below == before:
                break
            before = below
            met |= below
        return met

    def serve(self, wakeup):
        self.send(event="ready", pid=os.getpid())
        while True:
            for number in readable([self.channel.fileno(), wakeup.fileno()]):
                if number == wakeup.fileno():
                    os.read(number, 4096)
                    self.reap()
                    continue
                packet, descriptors, _, _ = socket.recv_fds(self.channel, 1 << 16, MOST_DESCRIPTORS)
                if not packet:
                    return
                request = json.loads(packet)
                if request["do"] == "spawn":
                    for descriptor in descriptors:
                        os.set_inheritable(descriptor, False)
                    *given, order = descriptors
                    with open(order, encoding="ascii", closefd=False) as file:
                        file.seek(0)
                        self.spawn(json.load(file), given)
                elif request["do"] == "alarms":
                    found = self.alarms(request["script"], request["pids"], request["within_s"])
                    self.send(event="alarms", found=found)
                elif request["do"] == "release":
                    self.send(event="released")
                    os._exit(RELEASED)
                else:
                    ended, alive = self.end()
                    self.send(event="ended", ended=ended, alive=alive)
                for descriptor in descriptors:
                    os.close(descriptor)


def readable(descriptors, within_s=None):
    """Wait, and return those that can be read."""
    waiter = select.poll()  # not select(2), which fails above descriptor 1023
    for number in descriptors:
        waiter.register(number, select.POLLIN)
    return [number for number, _ in waiter.poll(within_s and 1000 * within_s)]


def tell_problem(write_end, problem, missing=False):
    """Report, through the pipe to our parent, why the program could not be started."""
    with contextlib.suppress(BrokenPipeError):  # it took too long: it counts as started
        os.write(write_end, json.dumps({"problem": problem, "missing": missing}).encode())


def send_signal(pid, number):
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # gone, or another user's: the next look at the tree tells


def do_nothing(number, frame):
    pass


def become_subreaper():
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1) != 0:
        sys.exit("prctl(PR_SET_CHILD_SUBREAPER) failed: " + os.strerror(ctypes.get_errno()))


def guard(helper):
    """Wait for the helper, and end the tree should it be killed; return our exit status."""
    os.setsid()  # a probe may stop its whole process group, including the helper
    os.chdir("/")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pid, status = os.waitpid(-1, os.WUNTRACED)
        if pid != helper:
            continue  # somebody whose parents, among them the helper, are gone
        if os.WIFSTOPPED(status):
            send_signal(helper, signal.SIGCONT)
            if os.WSTOPSIG(status) == signal.SIGSTOP:
                # No terminal sends that: a program has stopped its process group, to which whoever
                # started us may belong. Nobody else would continue that.
                time.sleep(0.05)
                send_signal(os.getppid(), signal.SIGCONT)
            continue
        ended = os.waitstatus_to_exitcode(status)
        if ended not in (0, RELEASED):
            Supervisor(None, (), ()).end()
        return 0 if ended in (0, RELEASED) else 1


def main():
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, [])
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    become_subreaper()
    helper = os.fork()
    if helper:
        channel.close()
        os._exit(guard(helper))
    become_subreaper()  # a fork does not pass it on
    # For SIGPIPE and SIGXFSZ nobody can tell: this interpreter ignores them of its own accord.
    ignored = {
        number
        for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}
        if signal.getsignal(number) is signal.SIG_IGN
    }
    # A Ctrl-C in the terminal is meant for whoever started us; we end when the socket does. All
    # these have a handler that does nothing: unlike SIG_IGN, a new process does not inherit it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, do_nothing)
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    # Full, it has woken us already: many children may end at once.
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, do_nothing)
    supervisor = Supervisor(channel, ignored, blocked)
    try:
        supervisor.serve(ours)
    except (BrokenPipeError, ConnectionResetError):
        pass  # whoever started us is gone
    except OSError as error:
        sys.exit(f"deadlock-matrix: the helper that guards the command: {error.strerror}")
    finally:
        with contextlib.suppress(OSError):  # no descriptor is left: the guard ends the tree
            supervisor.end()


if __name__ == "__main__":
    main()
