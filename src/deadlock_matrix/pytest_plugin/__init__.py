"""The pytest plugin: options, a fixture and a marker, and nothing else until they are used.

Every pytest run of an environment that has this package loads this module, so it imports only
pytest. The options with short names, such as ``--profile``, are added only in runs that use the
matrix, so that they take no names from other plugins.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from deadlock_matrix.pytest_plugin.import_probe import ImportProbe

_AXES = ("interpreter", "profile", "layout", "entry", "context")
_WHAT = {
    "interpreter": "a name from the configuration, a command or a path",
    "profile": "a profile's name or pattern",
    "layout": "a layout's name or pattern",
    "entry": "an entry's name or pattern",
    "context": "a context's name or pattern",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that switch the matrix and the watcher on, and those that go with them."""
    group = parser.getgroup("deadlock-matrix", "imports under every configuration")
    group.addoption(
        "--deadlock-matrix",
        metavar="FILE",
        nargs="?",
        const="",
        default=None,
        type=_configuration_file,
        help="Run tests that ask for 'cell' once for each cell of the matrix. The configuration is "
        "FILE (write --deadlock-matrix=FILE), or the nearest pyproject.toml that has one. Adds "
        "the options --study, --interpreter, --interpreters-file, --profile, --layout, --entry, "
        "--context, --exclude, --coverage, --preset and --repeat.",
    )
    group.addoption(
        "--deadlock-matrix-report",
        metavar="DIR",
        default=None,
        help="Folder for the run's journals and report.json (default: reports/RUN in the root "
        "folder)",
    )
    _add_guard(parser.getgroup("prove-hangs", "hanging tests, watched from outside"))


def _add_guard(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--prove-hangs",
        action="store_true",
        help="Watch this session and its xdist workers from outside: end a process as soon as it "
        "is proved deadlocked, and fail the test that was running, with who waits for whom",
    )
    group.addoption(
        "--prove-hangs-after",
        metavar="SECONDS",
        type=_seconds,
        default=300.0,
        help="With --prove-hangs: also end a process that is not proved deadlocked, but has slept "
        "in one place for this long (default: 300; 0: never)",
    )
    group.addoption(
        "--prove-hangs-dir",
        metavar="DIR",
        help="With --prove-hangs: where to write the evidence of a hang as JSON (default: "
        "prove-hangs/ in the root folder)",
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: before output is captured
def pytest_load_initial_conftests(
    early_config: pytest.Config, args: list[str], parser: pytest.Parser
) -> Generator[None]:
    """If asked to, split into watcher and session, and add the options that choose cells."""
    if early_config.known_args_namespace.prove_hangs:
        from deadlock_matrix.pytest_plugin.guard import session

        session.begin(early_config, args, parser)
    if early_config.known_args_namespace.deadlock_matrix is not None:
        _add_axes(parser)
    return (yield)


def _add_axes(parser: pytest.Parser) -> None:
    group = parser.getgroup("deadlock-matrix")
    try:
        for axis in _AXES:
            group.addoption(
                f"--{axis}",
                dest=f"deadlock_matrix_{axis}",
                metavar="NAME",
                action="append",
                default=[],
                help=f"{_WHAT[axis]}; may be given several times",
            )
        _add_selection(group)
    except (ValueError, argparse.ArgumentError) as error:
        raise pytest.UsageError(
            f"another plugin has an option that the matrix needs ({error}): "
            "switch that plugin off with -p no:NAME"
        ) from None


def _add_selection(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--interpreters-file",
        dest="deadlock_matrix_interpreters_file",
        metavar="FILE",
        help="A JSON list of interpreters, instead of the configured ones: name, executable, set "
        "(variables that belong to it), and unavailable (why it is missing)",
    )
    group.addoption(
        "--exclude",
        dest="deadlock_matrix_exclude",
        metavar="AXIS=NAME[,...]",
        action="append",
        default=[],
        help="Leave out the cells that match all of these; may be given several times",
    )
    group.addoption(
        "--coverage",
        dest="deadlock_matrix_coverage",
        choices=("full", "pairwise"),
        help="Every combination, or every pair of values of two axes at least once",
    )
    group.addoption(
        "--study",
        dest="deadlock_matrix_study",
        metavar="NAME",
        help="Run the matrix of this study, whatever the configuration says to import",
    )
    group.addoption(
        "--preset",
        dest="deadlock_matrix_preset",
        metavar="NAME",
        help="A selection with a name, such as 'smoke'",
    )
    from deadlock_matrix.app import run_options

    run_options.add(group)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hook that lets other plugins run the cells elsewhere."""
    from deadlock_matrix.pytest_plugin import hooks

    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(trylast=True)  # the terminal reporter is there by then
def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and start the parts that do something, if the matrix is on."""
    config.addinivalue_line(
        "markers",
        "import_contract(target, *, within, without, contexts, ...): import the module in a fresh "
        "process before the test; fail if it hangs, is too slow, or loads what it must not",
    )
    if config.getoption("prove_hangs"):
        from deadlock_matrix.pytest_plugin.guard import session

        session.configure(config)
    if config.getoption("deadlock_matrix") is None:
        return
    from deadlock_matrix.pytest_plugin import activation

    activation.activate(config)


@pytest.fixture(scope="session")
def import_probe(request: pytest.FixtureRequest) -> ImportProbe:
    """Run an import in a fresh process, watched from outside: see docs/pytest.md."""
    from deadlock_matrix.pytest_plugin.import_probe import open_probe

    return open_probe(request.config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each context that a marker ``import_contract`` names."""
    if _has_contract(metafunc.definition):
        from deadlock_matrix.pytest_plugin import import_marker

        import_marker.generate(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Run what a marker ``import_contract`` demands, before the test's own body."""
    if _has_contract(item):
        from deadlock_matrix.pytest_plugin import import_marker

        import_marker.check(item)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return what ``-n auto`` means: as many workers as memory and cores allow."""
    if config.getoption("deadlock_matrix") is None:
        return None
    from deadlock_matrix.pytest_plugin import activation

    return activation.workers()


def _has_contract(item: pytest.Item) -> bool:
    # For every test of every suite: looking for a name takes a quarter of the time that markers do.
    name = "import_contract"
    return name in item.keywords and item.get_closest_marker(name) is not None


def _configuration_file(text: str) -> str:
    if text and Path(text).suffix != ".toml":
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a .toml file; if it is a test to run, put it before this option"
        )
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 on")
    return seconds
