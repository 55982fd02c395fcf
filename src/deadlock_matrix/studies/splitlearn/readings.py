"""How each claim is read from the results: whether it holds, and the figures in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from deadlock_matrix.diagnosis.endings import rate_of
from deadlock_matrix.diagnosis.libraries import of_kind
from deadlock_matrix.diagnosis.rates import rate_text
from deadlock_matrix.diagnosis.statistics import is_cured, runs_needed
from deadlock_matrix.diagnosis.study.results import NotShown, Results
from deadlock_matrix.diagnosis.text import base_name, count
from deadlock_matrix.interpreters.native.kinds import LibraryKind
from deadlock_matrix.model.fact import Unknown
from deadlock_matrix.model.fingerprint import NativeLibrary
from deadlock_matrix.studies.splitlearn.blas import blas_of

Reading = tuple[bool, str]

MESSAGE = "Lock blocking "
"""The part of the message in question that the code printing it contains in one piece."""

_FAMILIES = tuple(f"splitlearn_core.models.{name}" for name in ("gpt2", "gemma", "qwen2"))
_LAYERS = ("baseline", "mkl-intel", "mkl-gnu", "mkl-tbb", "mkl-sequential")
_FORKED = ("multiply", "numpy-torch-multiply", "torch-numpy-multiply")


def second_import_initialises_again(results: Results) -> Reading:
    """Count how often torch's file is executed if several modules import it."""
    times = _executions(results)
    again = any(number > 1 for number in times.values())
    told = ", ".join(f"{number} x in {where}" for where, number in times.items())
    return again, f"torch/__init__ is executed {told}"


def repeated_imports_are_no_ops(results: Results) -> Reading:
    """Return the same counts, for the opposite question."""
    again, sentence = second_import_initialises_again(results)
    return not again, sentence


def torch_outside_conda_has_no_mkl(results: Results) -> Reading:
    """Look for MKL among the libraries that torch loads, by file."""
    found = results.identified()
    if "conda" in found.distribution:
        raise NotShown(f"this one is {found.distribution}")
    if "torch" not in found.packages:
        raise NotShown("torch is not installed")
    libraries = [each for each in _libraries(results) if "torch" in each.users]
    blas = [each for each in libraries if each.kind == LibraryKind.BLAS]
    if not blas:
        raise NotShown("no file tells which BLAS torch uses")
    own = [each for each in blas if each.static] or blas
    told = ", ".join(f"{each.name} in {base_name(each.path)}" for each in own)
    return all(each.name != "MKL" for each in own), f"torch of {found.distribution} uses {told}"


def message_comes_from_mkl(results: Results) -> Reading:
    """Ask which of the libraries that numpy and torch map contain the text."""
    printers = results.identified().printers
    if isinstance(printers, Unknown):
        raise NotShown(printers.reason)
    mkl = [each.path for each in _libraries(results) if each.name == "MKL"]
    if not mkl:
        raise NotShown("there is no MKL here")
    guilty = [path for path in printers.value if path in mkl or "mkl" in base_name(path)]
    if guilty:
        return True, f"{', '.join(map(base_name, guilty))} contains '{MESSAGE.strip()}'"
    others = ", ".join(map(base_name, printers.value)) or "no library that is mapped"
    names = ", ".join(dict.fromkeys(map(base_name, mkl)))
    return False, f"'{MESSAGE.strip()}' is not in {names}; {others} contains it"


def sequential_makes_mkl_serial(results: Results) -> Reading:
    """Compare what is loaded, and how many threads there are, with and without the variable."""
    if any(each.name == "MKL" and not each.static for each in _numpy_blas(results)):
        before, after = (
            blas_of(results, "multiply"),
            blas_of(results, "multiply", profile="mkl-sequential"),
        )
        threads = results.threads("multiply"), results.threads("multiply", profile="mkl-sequential")
        told = f"{before} with {_threads(threads[0])} becomes {after} with {_threads(threads[1])}"
        return after == "MKL SEQUENTIAL" and threads[1] == 1, f"dynamic MKL: {told}"
    if any(each.name == "MKL" and each.static for each in _libraries(results)):
        threads = (
            results.threads("torch-twice"),
            results.threads("torch-twice", profile="mkl-sequential"),
        )
        if threads[0] == 1:
            raise NotShown("torch has one thread here without the variable, too")
        told = f"{_threads(threads[0])} without the variable, {_threads(threads[1])} with it"
        return threads[1] == 1, f"static MKL in torch: {told}"
    raise NotShown("there is no MKL here")


def variables_before_import(results: Results) -> Reading:
    """Set them before and after the import, and count threads."""
    plain = results.threads("torch-twice")
    before, after = (
        results.threads("torch-variables-before"),
        results.threads("torch-variables-after"),
    )
    if plain == 1:
        raise NotShown("torch has one thread here without the variables, too")
    told = f"{_threads(before)} when set before the import, {_threads(after)} when set after it"
    return before < plain <= after, f"the process has {told}, {_threads(plain)} without them"


def lazy_imports_one_family(results: Results) -> Reading:
    """Look which families are loaded when GPT-2 is requested."""
    wanted = _FAMILIES[0]
    facts = results.facts("create-gpt2", layout="lazy")
    loaded = {name for each in facts for name in _FAMILIES if each.watched.get(name)}
    told = ", ".join(sorted(name.rpartition(".")[2] for name in loaded)) or "none"
    return loaded == {wanted}, f"asking for gpt2 loads: {told}"


def lazy_starts_faster(results: Results) -> Reading:
    """Compare the median seconds of 'import splitlearn_core'."""
    eager = median(each.entry_s for each in results.facts("package", layout="eager"))
    lazy = median(each.entry_s for each in results.facts("package", layout="lazy"))
    runs = len(results.cells("package", layout="lazy"))
    factor = eager / lazy if lazy else float("inf")
    times = f"{eager:.3g} s eager, {lazy:.3g} s lazy under the baseline, {count(runs, 'run')} each"
    return factor > 1, f"{_figure(factor)} times faster ({times})"


def factory_avoids_models(results: Results) -> Reading:
    """Look whether importing the factory alone loads the eager layout's models."""
    facts = results.facts("from-factory", layout="eager")
    models = any(each.watched.get("splitlearn_core.models") for each in facts)
    loaded = [
        name for name in (*_FAMILIES, "torch") if all(each.watched.get(name) for each in facts)
    ]
    told = ", ".join(name.rpartition(".")[2] for name in loaded) or "no family"
    return not models, f"in the eager layout it loads {told}"


def cured_by(profile: str, *, on_mkl: bool = False) -> Callable[[Results], Reading]:
    """Return a reader that runs what hangs in a forked child under a profile.

    Args:
        profile: What is said to cure it.
        on_mkl: Whether only what hangs in MKL is meant.
    """

    def read(results: Results) -> Reading:
        entry, axes = _hanging_entry(results, on_mkl)
        return _cured(results, entry, axes, profile)

    return read


def other_blas_does_not_hang(results: Results) -> Reading:
    """Look at the entries that hang on one of MKL's layers, where numpy uses another BLAS."""
    hanging = [
        entry for entry in _FORKED if any(_hangs_on_mkl(results, entry, each) for each in _LAYERS)
    ]
    if not hanging:
        raise NotShown("no product of matrices hangs on MKL here, with any of its layers")
    told: dict[str, bool] = {}
    for other in results.others:
        for entry in hanging:
            try:
                blas = blas_of(other, entry, context="fork-again")
                hung = other.hangs(entry, context="fork-again")
            except NotShown:
                continue
            finally:
                results.used.extend(other.used)
            if not blas.startswith("MKL"):
                told[blas] = told.get(blas, False) or hung
    if not told:
        raise NotShown("no interpreter with another BLAS was run beside it")
    texts = [f"{name} {'hangs too' if hung else 'does not'}" for name, hung in sorted(told.items())]
    return not any(told.values()), f"{', '.join(hanging)} hangs on MKL; {', '.join(texts)}"


def duplicate_is_harmless(results: Results) -> Reading:
    """Require a process with two copies of LLVM's or Intel's runtime, which refuse each other."""
    copies = [
        each
        for each in _libraries(results)
        if each.kind == LibraryKind.OPENMP and each.name in ("libiomp5", "libomp")
    ]
    if len(copies) < 2:
        raise NotShown("it matters to two copies of libiomp5 or libomp in one process")
    verdicts = results.verdicts("package", layout="eager", profile="kmp-duplicate-ok")
    told = ", ".join(sorted(verdict.value for verdict in verdicts))
    return told == "ok", f"with it, importing the package comes out {told}"


# --- what several of them need --------------------------------------------------------------------


def _executions(results: Results) -> dict[str, int]:
    found: dict[str, int] = {}
    reasons = []
    for entry, layout in (("package", "eager"), ("torch-twice", "lazy")):
        try:
            facts = results.facts(entry, layout=layout)
        except NotShown as reason:
            reasons.append(str(reason))
            continue
        found[f"{layout} {entry}" if entry == "package" else entry] = max(
            each.watched.get("torch", 0) for each in facts
        )
    if not found:
        raise NotShown("; ".join(dict.fromkeys(reasons)))
    return found


def _hanging_entry(results: Results, on_mkl: bool) -> tuple[str, dict[str, str]]:
    """Return an entry that hangs in a forked child under the baseline, torch's or a product's."""
    places = (
        [] if on_mkl else [("create-gpt2", {"layout": "lazy", "context": "fork-after-parallel"})]
    )
    places += [(entry, {"layout": "lazy", "context": "fork-again"}) for entry in _FORKED]
    came_through = []
    reasons = []
    for entry, axes in places:
        try:
            if results.hangs(entry, **axes) and (not on_mkl or _hangs_on_mkl(results, entry)):
                return entry, axes
            came_through.append(entry)
        except NotShown as reason:
            reasons.append(str(reason))
    if came_through:
        where = "in MKL, under the baseline" if on_mkl else "under the baseline"
        raise NotShown(f"no forked child hangs {where}; these were run: {', '.join(came_through)}")
    raise NotShown("; ".join(dict.fromkeys(reasons)))


def _cured(results: Results, entry: str, axes: dict[str, str], profile: str) -> Reading:
    hung = results.hangs(entry, **axes, profile=profile)
    before = rate_of(results.cells(entry, **axes))
    after = rate_of(results.cells(entry, **axes, profile=profile))
    told = f"{entry} in {axes['context']} {rate_text(before)}; under {profile} it "
    if hung:
        return False, f"{told}still hangs: {rate_text(after)}"
    if before.hangs < before.runs and not is_cured(before, after):
        needed = count(runs_needed(before), "clean run")
        clean = count(after.runs, "run")
        raise NotShown(f"{told}did not hang in {clean}, which may be luck: it takes {needed}")
    return True, f"{told}is ok ({count(after.runs, 'run')})"


def _hangs_on_mkl(results: Results, entry: str, profile: str = "baseline") -> bool:
    try:
        if not results.hangs(entry, context="fork-again", profile=profile):
            return False
        return blas_of(results, entry, context="fork-again", profile=profile).startswith("MKL")
    except NotShown:
        return False


def _libraries(results: Results) -> tuple[NativeLibrary, ...]:
    libraries = results.identified().libraries
    if isinstance(libraries, Unknown):
        raise NotShown(libraries.reason)
    return libraries.value


def _numpy_blas(results: Results) -> list[NativeLibrary]:
    return [
        each for each in of_kind(_libraries(results), LibraryKind.BLAS) if "numpy" in each.users
    ]


def _figure(factor: float) -> str:
    """Format with two digits: no clock is better than that."""
    return f"{float(f'{factor:.2g}'):g}"


def _threads(number: int) -> str:
    return count(number, "thread")
