"""The script inside a probe: executes one entry and writes down what became of it.

The target's own interpreter, Python 3.8 or later, runs it by path. It must not import the package
it lies in, nor, until the entry has finished, anything that the interpreter has not loaded by
itself (``sys``, ``os``, ``time`` are there after ``site``). It imports only what a way of calling
cannot do without: ``threading`` for threads, ``multiprocessing`` for spawn, as the user's own
script would have to.

Arguments: PROGRESS RESULT CALLING SYS_PATH PRELUDE STATEMENT WATCHED

``PROGRESS`` gets a line ``phase monotonic-seconds`` as each phase begins, ``RESULT`` one JSON
object when the entry has ended. ``WATCHED`` are module names, separated by commas.
"""

import os
import sys
import time

MOST_THREADS = 24


class ImportWatcher:
    """A finder that finds nothing: it only notes who asks for a watched module first.

    The import system asks each finder for a module that is not loaded yet, so this sees every
    execution of a module's file, and its stack is the chain of imports that led there. It adds
    nothing to the stacks that are seen from outside: it has returned before a module executes.
    """

    def __init__(self, watched):
        self.watched = frozenset(watched)
        self.began = 0.0
        self.asked = []

    def find_spec(self, name, path=None, target=None):
        if name in self.watched:
            frame = sys._getframe(1)
            # importlib.util.find_spec asks too, without importing: then its frame is the caller.
            while frame is not None and frame.f_code.co_name == "_find_spec":
                frame = frame.f_back
            if frame is None or frame.f_code.co_name != "find_spec":
                self.asked.append((name, time.monotonic() - self.began, import_chain(frame)))
        return None


def import_chain(frame):
    """Return the import statements that are under way in this thread, outermost first."""
    chain = []
    below_is_importlib = True
    while frame is not None:
        code = frame.f_code
        is_importlib = code.co_filename.startswith("<frozen importlib") or (
            frame.f_globals.get("__name__") == "importlib"
        )
        if below_is_importlib and not is_importlib:
            name = frame.f_globals.get("__name__", "?")
            chain.append((name, code.co_filename, frame.f_lineno))
        below_is_importlib = is_importlib
        frame = frame.f_back
    chain.reverse()
    return chain


def package_of(statement):
    """Return the package that a statement imports first; without ast, which would be an import."""
    words = statement.replace(",", " ").replace(";", " ").split()
    for word, name in zip(words, words[1:]):
        if word in ("import", "from"):
            return name.partition(".")[0]
    return ""


def submodules(package):
    """Return the modules in a package's folders, two levels deep, without importing it."""
    for finder in sys.meta_path:
        spec = finder.find_spec(package, None) if package else None
        if spec is not None:
            return in_folders(package, spec.submodule_search_locations or (), 2)[:MOST_THREADS]
    return []


def in_folders(package, folders, levels):
    names = []
    deeper = []
    for folder in folders:
        for entry in sorted(os.listdir(folder) if os.path.isdir(folder) else ()):
            stem, dot, suffix = entry.partition(".")
            path = os.path.join(folder, entry)
            if not stem.isidentifier() or stem.startswith("__"):
                continue
            if dot and (suffix == "py" or suffix.endswith("so")):
                names.append("%s.%s" % (package, stem))
            elif not dot and os.path.isfile(os.path.join(path, "__init__.py")):
                names.append("%s.%s" % (package, stem))
                deeper.append(("%s.%s" % (package, stem), path))
    for name, path in deeper:
        if levels > 1:
            names += in_folders(name, [path], levels - 1)
    return names


def lazy_names(module):
    """Return the names that a module exports and does not have yet."""
    names = list(getattr(module, "__all__", ())) or [n for n in dir(module) if n[:1] != "_"]
    return [name for name in names if name not in module.__dict__][:MOST_THREADS]


JOINED = set()


def join(threads):
    """Join threads that this file has started, and note their ids.

    The kernel may still list a thread that Python has seen the end of.
    """
    for thread in threads:
        thread.join()
        JOINED.add(str(thread.native_id))


def at_once(body, names):
    """Call ``body`` with each name in its own thread, all released together."""
    import threading

    if not names:
        return
    gate = threading.Barrier(len(names))

    def run(name):
        gate.wait()
        body(name)

    threads = [threading.Thread(target=run, args=(n,), name="entry-" + n) for n in names]
    # Threads take turns two hundred times as often as usual, so that more of them meet.
    sys.setswitchinterval(2.5e-5)
    for thread in threads:
        thread.start()
    join(threads)


class Probe:
    def __init__(self, source, progress, result, calling, sys_path, prelude, statement, watched):
        self.progress = progress
        self.result = result
        self.calling = calling
        self.sys_path = sys_path
        self.prelude = prelude
        self.statement = statement
        self.watcher = ImportWatcher(name for name in watched.split(",") if name)
        self.raised = None
        self.entry_s = 0.0
        self.prelude_s = 0.0
        self.before = frozenset()
        self.search = [], []
        self.namespace = {}
        self.source = source
        self.spawned = not source
        self.owner = os.getpid()

    def enter(self, phase):
        if os.getpid() != self.owner:
            return  # a copy of this process that the entry has made
        # Opened and closed each time: an open descriptor would be inherited by a forked child.
        line = "%s %.6f\n" % (phase, time.monotonic())
        descriptor = os.open(self.progress, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def prepare(self):
        """Make the process look as if the entry were the user's own script."""
        main = type(sys)("__main__")
        sys.modules["__main__"] = main
        self.namespace = main.__dict__
        sys.argv[:] = [""]
        # The interpreter put this script's folder first, unless PYTHONSAFEPATH forbids it; a user's
        # script has its own folder there. A spawned child has its path from its parent, which has
        # already been here.
        if not self.spawned:
            own = 0 if getattr(sys.flags, "safe_path", False) else 1
            sys.path[:own] = [self.sys_path] if self.sys_path else []

    def execute(self):
        """Run the entry once, in this thread, and keep what it raised."""
        begin = time.monotonic()
        try:
            code = compile(self.statement, "<entry>", "exec")
            begin = time.monotonic()
            exec(code, self.namespace)
        except BaseException as error:
            if self.raised is None:
                self.raised = error
        self.entry_s = max(self.entry_s, time.monotonic() - begin)

    def watched_entry(self, call, phase="entry"):
        self.before = frozenset(sys.modules)
        self.search = list(sys.path), list(sys.meta_path)
        sys.meta_path.insert(0, self.watcher)
        self.enter(phase)
        self.watcher.began = time.monotonic()
        try:
            call()
        finally:
            if self.watcher in sys.meta_path:
                sys.meta_path.remove(self.watcher)

    def run(self):
        self.prepare()
        status = getattr(self, "call_" + self.calling.replace("-", "_"))()
        self.enter("exit")
        return status

    def run_prelude(self):
        if self.prelude:
            self.enter("prelude")
            begin = time.monotonic()
            exec(compile(self.prelude, "<prelude>", "exec"), self.namespace)
            self.prelude_s = time.monotonic() - begin

    def call_main(self):
        self.run_prelude()
        self.watched_entry(self.execute)
        return self.report()

    def call_thread(self):
        self.run_prelude()
        import threading

        thread = threading.Thread(target=self.execute, name="entry")

        def call():
            thread.start()
            join([thread])

        self.watched_entry(call)
        return self.report()

    def call_two_threads(self):
        self.run_prelude()
        import threading

        gate = threading.Barrier(2)

        def body():
            gate.wait()
            self.execute()

        threads = [threading.Thread(target=body, name="entry-%d" % n) for n in (1, 2)]

        def call():
            for thread in threads:
                thread.start()
            join(threads)

        self.watched_entry(call)
        return self.report()

    def call_concurrent_imports(self):
        self.run_prelude()
        names = submodules(package_of(self.statement))
        failed = []

        def body(name):
            try:
                __import__(name)
            except Exception as error:
                failed.append((name, error))

        def call():
            at_once(body, names)
            for name, error in failed:
                try:
                    __import__(name)
                except Exception:
                    continue  # alone it fails too: it may need what is not installed
                self.raised = error
                return
            self.execute()

        self.watched_entry(call)
        return self.report()

    def call_concurrent_exports(self):
        self.run_prelude()

        def call():
            self.execute()
            module = sys.modules.get(package_of(self.statement))
            if self.raised is None and module is not None:
                at_once(lambda name: getattr(module, name, None), lazy_names(module))

        self.watched_entry(call)
        return self.report()

    def call_fork(self):
        self.run_prelude()
        return self.in_child(lambda: self.watched_entry(self.execute))

    def call_fork_again(self):
        self.run_prelude()
        self.watched_entry(self.execute, "prelude")
        if self.raised is not None:
            return self.report()
        self.prelude_s, self.entry_s = self.entry_s, 0.0

        def again():
            self.enter("entry")
            self.execute()

        return self.in_child(again)

    def in_child(self, call):
        child = os.fork()
        if child == 0:
            status = 1
            self.owner = os.getpid()
            try:
                call()
                status = self.report()
            finally:
                # As multiprocessing ends its forked children: without the parent's exit handlers.
                flush(sys.stdout)
                flush(sys.stderr)
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            end_by_signal(os.WTERMSIG(status))
        return os.WEXITSTATUS(status)

    def call_spawn(self):
        self.run_prelude()
        with open(self.source, encoding="utf-8") as file:
            source = file.read()
        import multiprocessing

        arguments = (self.progress, self.result, "main", self.sys_path, "", self.statement)
        watched = ",".join(sorted(self.watcher.watched))
        process = multiprocessing.get_context("spawn").Process(
            target=exec,
            args=(source, {"__name__": "probe", "ARGUMENTS": (*arguments, watched)}),
        )
        process.start()
        process.join()
        code = process.exitcode
        if code is not None and code < 0:
            end_by_signal(-code)
        return 1 if code is None else code

    def report(self):
        """Write the result; return the exit status that Python would have ended with."""
        if os.getpid() != self.owner:
            return 0  # what a copy would write is not this process's word
        loaded = [name for name in list(sys.modules) if name not in self.before]
        # What is imported from here on is found even if the entry has changed where to look.
        left = list(sys.path), list(sys.meta_path)
        sys.path[:], sys.meta_path[:] = self.search
        try:
            return self.write_facts(loaded)
        finally:
            sys.path[:], sys.meta_path[:] = left

    def write_facts(self, loaded):
        import json

        status = 0
        raised = None
        if self.raised is not None:
            status, raised = describe_exception(self.raised)
        facts = {
            "python": "%d.%d.%d" % sys.version_info[:3],
            "entry_s": self.entry_s,
            "prelude_s": self.prelude_s,
            "modules_before": len(self.before),
            "modules_after": len(self.before) + len(loaded),
            "top_levels": count_top_levels(loaded),
            "watched": count_executions(self.watcher),
            "chains": first_chains(self.watcher),
            "imported_s": first_times(self.watcher),
            "own_modules": own_modules(self.statement, loaded),
            "native_libraries": attempt(native_libraries),
            "threads": attempt(kernel_threads),
            "python_threads": len(sys._current_frames()),
            "peak_memory_kib": attempt(peak_memory_kib),
            "raised": raised,
        }
        # Half of a surrogate pair, as in file names that are not UTF-8, is not JSON.
        text = json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace")
        partial = "%s.%d" % (self.result, os.getpid())
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        os.chmod(partial, 0o600)  # whatever mask the entry has set
        os.replace(partial, self.result)
        return status


# --- after the entry: what follows may import what it needs -----------------------------------


def describe_exception(error):
    import traceback

    try:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception as second:
        text = "(its traceback could not be made: %s)\n" % type(second).__name__
    status = 1
    said = text
    if isinstance(error, SystemExit):
        said = ""
        if error.code is None or isinstance(error.code, int):
            status = error.code or 0
        else:
            said = attempt_text(error) + "\n"
    try:
        sys.stderr.write(said)
    except Exception:
        pass  # the entry has closed or replaced it
    name = type(error).__qualname__
    if type(error).__module__ not in ("builtins", "__main__"):
        name = "%s.%s" % (type(error).__module__, name)
    message = attempt_text(error)[:2000]
    return status & 0xFF, {"type": name, "message": message, "traceback": text[-4000:]}


def attempt_text(error):
    try:
        return str(error)
    except BaseException as second:
        return "(its text could not be made: %s)" % type(second).__name__


def flush(stream):
    try:
        stream.flush()
    except Exception:
        pass  # the entry has closed or replaced it


def end_by_signal(number):
    """End as the child did, even by a signal that the interpreter ignores or handles."""
    import signal

    try:
        signal.signal(number, signal.SIG_DFL)
    except OSError:
        pass  # SIGKILL
    os.kill(os.getpid(), number)


def count_top_levels(modules):
    counts = {}
    for name in modules:
        top = name.partition(".")[0]
        counts[top] = counts.get(top, 0) + 1
    return counts


def count_executions(watcher):
    counts = dict.fromkeys(sorted(watcher.watched), 0)
    for name, _, _ in watcher.asked:
        # Requested, but not found, or it failed: nothing was executed to the end.
        if name in sys.modules:
            counts[name] += 1
    return counts


def first_chains(watcher):
    chains = {}
    for name, _, chain in watcher.asked:
        if name in chains or name not in sys.modules:
            continue
        steps = []
        for (importer, file, line), following in zip(chain, [*chain[1:], (name, "", 0)]):
            steps.append(
                {
                    "module": following[0],
                    "importer": importer,
                    "file": file,
                    "line": line,
                }
            )
        chains[name] = steps
    return chains


def first_times(watcher):
    times = {}
    for name, at_s, _ in watcher.asked:
        if name in sys.modules:
            times.setdefault(name, at_s)
    return times


def own_modules(statement, loaded):
    import ast

    tops = set()
    try:
        tree = ast.parse(statement)
    except SyntaxError:
        return []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            tops.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            tops.add(node.module.partition(".")[0])
    tops -= set(getattr(sys, "stdlib_module_names", ()))
    return [name for name in loaded if name.partition(".")[0] in tops][:500]


def attempt(read):
    """Return a fact as the report spells it: known with its source, or unknown with its reason."""
    try:
        value, source = read()
    except Exception as error:
        return {"fact": "unknown", "reason": "%s: %s" % (type(error).__name__, error)}
    return {"fact": "known", "value": value, "source": source}


def native_libraries():
    if sys.platform != "linux":
        raise NotImplementedError("the list of mapped libraries is not read on " + sys.platform)
    paths = []
    with open("/proc/self/maps", "rb") as file:
        for line in file:
            fields = line.split(None, 5)
            if len(fields) == 6 and b"x" in fields[1] and fields[5].startswith(b"/"):
                path = os.fsdecode(fields[5].rstrip(b"\n"))
                if path not in paths:
                    paths.append(path)
    return paths, "/proc/self/maps, files mapped executable, after the entry"


def kernel_threads():
    if sys.platform != "linux":
        raise NotImplementedError("threads are not listed on " + sys.platform)
    names = []
    for tid in sorted(set(os.listdir("/proc/self/task")) - JOINED, key=int):
        with open("/proc/self/task/%s/comm" % tid, encoding="utf-8", errors="replace") as file:
            names.append(file.read().rstrip("\n"))
    return names, "/proc/self/task/*/comm, after the entry"


def peak_memory_kib():
    if sys.platform == "linux":
        # Not getrusage: its maximum includes what the parent had before it executed this program.
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]), "/proc/self/status, VmHWM"
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak // 1024 if sys.platform == "darwin" else peak), "getrusage, ru_maxrss"


def main(arguments, source):
    status = Probe(source, *arguments).run()
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:], __file__)
elif __name__ == "probe":  # executed by a process that multiprocessing spawned for call_spawn
    main(globals()["ARGUMENTS"], "")
