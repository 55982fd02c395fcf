"""Run imports under every configuration, and prove why the ones that hang do.

The functions do what the commands do, for a program of your own; see ``docs/api.md``. They are
imported when first used, so that importing this package stays cheap.
"""

TYPE_CHECKING = False  # not typing's, which takes longer to import than all of this
if TYPE_CHECKING:
    from deadlock_matrix.app.api import diagnose, inspect, open_report, run_matrix, watch

__version__ = "0.1.0"

__all__ = ["__version__", "diagnose", "inspect", "open_report", "run_matrix", "watch"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from deadlock_matrix.app import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
