"""``deadlock-matrix worker``: run cells for a coordinator on another machine."""

from __future__ import annotations

from pathlib import Path

import click

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Run cells for another machine.")
@click.argument("scheduler", metavar="SCHEDULER")
@click.option(
    "--config",
    "configuration_file",
    type=_file,
    help="Take the interpreters from this file instead of the nearest pyproject.toml.",
)
@click.option(
    "--interpreter",
    "interpreters",
    multiple=True,
    metavar="NAME",
    help="A configured name, a version (3.12), a path or NAME=PATH. "
    "Without it, the configured ones, or else the one that runs this.",
)
@click.option(
    "--jobs",
    default="auto",
    metavar="N",
    help="Cells at once; auto: as many as memory and cores allow.",
    show_default=True,
)
@click.option(
    "--name", default="", help="The name of this machine in reports; by default its host name."
)
@click.option("--tls-ca", type=_file, help="The authority that has signed every certificate (PEM).")
@click.option("--tls-cert", type=_file, help="This worker's certificate (PEM).")
@click.option("--tls-key", type=_file, help="The certificate's key (PEM).")
def command(
    scheduler: str,
    configuration_file: Path | None,
    interpreters: tuple[str, ...],
    jobs: str,
    name: str,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """Join the Dask scheduler at SCHEDULER (tcp://HOST:PORT or tls://HOST:PORT), and run cells.

    The worker says which interpreters it has, and gets only their cells. If the connection is lost,
    it joins again. SIGTERM and Ctrl-C end it, with everything that it runs. Anyone who can reach
    the scheduler can run code on this machine: see docs/dask.md.
    """
    from deadlock_matrix.errors import Unavailable

    try:
        from deadlock_matrix.grid.dask_worker import serve
        from deadlock_matrix.grid.security import make_security
    except ImportError as error:
        raise Unavailable(f"a worker needs deadlock-matrix[dask]: {error}") from error
    from deadlock_matrix.app.configuration import load_configuration
    from deadlock_matrix.cache import cache_folder
    from deadlock_matrix.grid.cell_host import CellHost
    from deadlock_matrix.matrix.interpreters import resolve
    from deadlock_matrix.run.capacity import MEMORY_PER_CELL_MIB
    from deadlock_matrix.run.capacity import jobs as capacity
    from deadlock_matrix.run.janitor import Janitor

    if jobs != "auto" and not (jobs.isdecimal() and int(jobs) > 0):
        raise click.BadParameter(f"{jobs!r} is neither auto nor a whole number of 1 or more")
    files = (str(each or "") for each in (tls_ca, tls_cert, tls_key))
    security = make_security(scheduler, *files)
    found = resolve(interpreters, load_configuration(configuration_file, Path.cwd()))
    number = capacity(MEMORY_PER_CELL_MIB) if jobs == "auto" else int(jobs)
    with Janitor() as janitor:
        host = CellHost(found, number, cache_folder(), janitor.folder, name)
        try:
            serve(host, scheduler, name, security)
        finally:
            host.close()
