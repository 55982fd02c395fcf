"""How a script does what a context does: lines of Python for each input and each way of calling."""

from __future__ import annotations

from deadlock_matrix.model.cell import Calling, Stdin

INPUTS = {
    Stdin.NULL: ("os.dup2(os.open(os.devnull, os.O_RDONLY), 0)",),
    Stdin.CLOSED_PIPE: (
        "end, other = os.pipe()",
        "os.dup2(end, 0)",
        "os.close(other)  # end of file at once",
    ),
    Stdin.SILENT_PIPE: ("end, other = os.pipe()  # nobody will ever write", "os.dup2(end, 0)"),
}

_AT_ONCE = (
    "gate = threading.Barrier(len(names))",
    "threads = [threading.Thread(target=call, args=(name,)) for name in names]",
    "sys.setswitchinterval(2.5e-5)",
    "for thread in threads:",
    "    thread.start()",
    "for thread in threads:",
    "    thread.join()",
)

CALLS: dict[Calling, tuple[str, ...]] = {
    Calling.THREAD: (
        "import threading",
        "",
        "thread = threading.Thread(target=entry)",
        "thread.start()",
        "thread.join()",
    ),
    Calling.TWO_THREADS: (
        "import threading",
        "",
        "gate = threading.Barrier(2)",
        "threads = [threading.Thread(target=lambda: (gate.wait(), entry())) for _ in range(2)]",
        "for thread in threads:",
        "    thread.start()",
        "for thread in threads:",
        "    thread.join()",
    ),
    Calling.CONCURRENT_IMPORTS: (
        "import importlib",
        "import importlib.util",
        "import pkgutil",
        "import threading",
        "",
        "",
        "def call(name):",
        "    gate.wait()",
        "    try:",
        "        importlib.import_module(name)",
        "    except Exception:",
        "        pass  # it may need what is not installed",
        "",
        "",
        "places = importlib.util.find_spec(PACKAGE).submodule_search_locations or []",
        'names = [PACKAGE + "." + each.name for each in pkgutil.iter_modules(places)][:24]',
        *_AT_ONCE,
    ),
    Calling.CONCURRENT_EXPORTS: (
        "import threading",
        "",
        "",
        "def call(name):",
        "    gate.wait()",
        "    getattr(module, name, None)",
        "",
        "",
        "entry()",
        "module = sys.modules[PACKAGE]",
        'exported = getattr(module, "__all__", dir(module))',
        "names = [name for name in exported if name not in vars(module)][:24]",
        *_AT_ONCE,
    ),
    Calling.FORK: (
        "child = os.fork()",
        "if child == 0:",
        "    entry()",
        "    os._exit(0)",
        "os.waitpid(child, 0)",
    ),
    Calling.FORK_AGAIN: (
        "entry()",
        "child = os.fork()",
        "if child == 0:",
        "    entry()",
        "    os._exit(0)",
        "os.waitpid(child, 0)",
    ),
    Calling.SPAWN: (
        "import multiprocessing",
        "",
        'child = multiprocessing.get_context("spawn").Process(target=entry)',
        "child.start()",
        "child.join()",
    ),
}
