"""Inside an interpreter under test: import one module alone, multiply once, write what is there.

The target's own interpreter, Python 3.8 or later, runs it by path: it must not import the package
it lies in, nor, before the import is done, anything that the interpreter has not loaded by itself.

Arguments: MODULE RESULT THREADPOOLCTL

``RESULT`` gets one JSON object a line, at once, so that it is known how far a process that hangs
got: ``{"phase": NAME}`` as a phase begins ("import", "product", "table", "end"), ``{"fact": NAME,
"value": ...}``, or ``{"fact": NAME, "reason": ...}`` for one that could not be read, and
``{"failed": TEXT}`` for an import or a product that raised. ``THREADPOOLCTL`` is the path of the
file that is all of threadpoolctl: the target need not have it installed.
"""

import os
import sys
import time

SIZE = 512  # large enough for every BLAS to spread it over its threads


class Writer:
    def __init__(self, path):
        self.path = path

    def line(self, text):
        # Opened each time: the module may close what it did not open.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0))
        try:
            os.write(file, text.encode() + b"\n")
        finally:
            os.close(file)

    def phase(self, name):
        self.line(f'{{"phase": "{name}"}}')  # without json, which is not loaded yet

    def tell(self, **values):
        import json

        self.line(json.dumps(values))

    def fact(self, name, read, *arguments):
        """Write down what ``read`` returns, or why it does not return."""
        try:
            value = read(*arguments)
        except Exception as error:
            self.tell(fact=name, reason=describe(error))
            return None
        self.tell(fact=name, value=value)
        return value


def describe(error):
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def main():
    name, result, table = sys.argv[1:]
    del sys.argv[1:]
    # The folder of this script goes first on the path unless Python was told not to; its modules
    # must not hide the target's.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    writer = Writer(result)
    module = attempt(writer, "import", import_module, name)
    writer.tell(fact="version", value=str(getattr(module[0], "__version__", "")))
    writer.tell(fact="seconds", value=module[1])
    attempt(writer, "product", PRODUCTS[name], module[0])
    writer.phase("table")
    mapped = writer.fact("mapped", read_mapped)
    writer.fact("configuration", CONFIGURATIONS[name], module[0])
    writer.fact("mkl", read_mkl, mapped)
    # Last: it goes through the loader's list, whose lock a hanging thread may hold.
    writer.fact("pools", read_pools, table)
    writer.phase("end")
    os._exit(0)  # what becomes of it at exit does not matter here


def attempt(writer, phase, work, *arguments):
    """Do what a phase is about; if that raises, even `SystemExit`, write it down and end."""
    writer.phase(phase)
    try:
        return work(*arguments)
    except BaseException as error:
        writer.tell(failed=describe(error))
        os._exit(0)


def import_module(name):
    began = time.perf_counter()
    __import__(name)
    return sys.modules[name], time.perf_counter() - began


def multiply_numpy(numpy):
    check((numpy.ones((SIZE, SIZE)) @ numpy.ones((SIZE, SIZE)))[-1, -1])


def multiply_torch(torch):
    check((torch.ones(SIZE, SIZE) @ torch.ones(SIZE, SIZE))[-1, -1].item())


def multiply_mkl(mkl):
    """Multiply with the library itself: mkl-service's functions are only about threads."""
    import ctypes

    mkl.get_max_threads()  # loads the layer that makes threads
    try:
        paths = [path for path in read_mapped() if "mkl_rt" in os.path.basename(path)]
    except OSError:
        return  # nobody says where it is: that the layer is loaded must do
    multiply = ctypes.CDLL(paths[0]).cblas_dgemm
    # Eight bytes for every integer: right for either of MKL's sizes, as it reads the lower part.
    whole, real = ctypes.c_longlong, ctypes.c_double
    by_rows, plain, size = whole(101), whole(111), whole(SIZE)
    ones, result = (real * SIZE**2)(*[1.0] * SIZE**2), (real * SIZE**2)()
    multiply.restype = None
    multiply(
        *(by_rows, plain, plain, size, size, size),
        *(real(1.0), ones, size, ones, size, real(0.0), result, size),
    )
    check(result[-1])


def check(element):
    if element != SIZE:
        raise ArithmeticError(f"an element of the product is {element!r} rather than {SIZE}")


PRODUCTS = {"numpy": multiply_numpy, "torch": multiply_torch, "mkl": multiply_mkl}


def configure_numpy(numpy):
    import json

    try:
        return json.dumps(numpy.show_config(mode="dicts"), indent=2, default=str)
    except TypeError:  # before 1.26 it only prints
        import contextlib
        import io

        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            numpy.show_config()
        return printed.getvalue()


def configure_torch(torch):
    return torch.__config__.show() + "\n" + torch.__config__.parallel_info()


def configure_mkl(mkl):
    return f"{mkl.get_version_string()}\nat most {mkl.get_max_threads()} threads"


CONFIGURATIONS = {"numpy": configure_numpy, "torch": configure_torch, "mkl": configure_mkl}


def read_mapped():
    """Return the files that are mapped executable; only Linux tells."""
    found = set()
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            # address, permissions, offset, device, inode, path (which may contain spaces)
            parts = line.rstrip("\n").split(None, 5)
            if len(parts) == 6 and "x" in parts[1] and parts[5].startswith("/"):
                gone = parts[5].rfind(" (deleted)")  # replaced since it was mapped
                found.add(parts[5] if gone < 0 else parts[5][:gone])
    return sorted(found)


def read_mkl(mapped):
    """Return what MKL says about itself; empty if this process has none."""
    import ctypes

    if mapped is None:
        raise OSError("which libraries are mapped is not known")
    kept = getattr(os, "RTLD_NOLOAD", 0)  # do not load it again, nor one that is gone
    own = [path for path in mapped if os.path.basename(path).startswith(("libmkl_", "mkl_"))]
    inside = [path for path in mapped if os.path.basename(path).startswith("libtorch_cpu")]
    for path in own + inside:
        try:
            tell = ctypes.CDLL(path, mode=kept).MKL_Get_Version_String
        except (OSError, AttributeError):
            continue
        text = ctypes.create_string_buffer(512)
        tell(text, len(text))
        return text.value.decode(errors="replace").strip()
    if own:
        raise OSError(f"none of {', '.join(own)} has MKL_Get_Version_String")
    return ""


def read_pools(path):
    """Return the rows of threadpoolctl's table."""
    if not path:
        raise OSError("threadpoolctl is not installed beside deadlock-matrix")
    import importlib.util

    spec = importlib.util.spec_from_file_location("threadpoolctl", path)
    table = importlib.util.module_from_spec(spec)
    sys.modules["threadpoolctl"] = table  # dataclasses look there for the module they are in
    spec.loader.exec_module(table)
    rows = [
        {
            "name": row["internal_api"],
            "prefix": row["prefix"],
            "path": os.path.realpath(row["filepath"]),
            "version": row["version"] or "",
            "threads": row["num_threads"],
            "layer": row.get("threading_layer") or "",
        }
        for row in table.threadpool_info()
    ]
    return sorted(rows, key=lambda row: (row["name"], row["path"]))


if __name__ == "__main__":
    main()
