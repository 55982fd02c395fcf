"""Known causes: their signature, why they hang, what helps, and how sure that is."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from deadlock_matrix.diagnosis.recognition.signs import AnySign


class Confirmation(StrEnum):
    """How it is known that something helps."""

    HERE = "here"  # run by this project's tests or its authors
    REPORTED = "reported"  # by others, see the references
    DERIVED = "derived"  # from how it works; nobody is known to have tried


class Remedy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One thing to do or, with ``helps = false``, one that does not help.

    ``set`` and ``unset`` are variables of a profile, ``versions`` are PEP 440 specifiers of
    distributions to install, ``layout`` is how to arrange a package, ``code`` are lines to paste.
    """

    advice: str
    confirmed: Confirmation
    helps: bool = True
    set: dict[str, str] = {}
    unset: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    layout: str = ""
    code: str = ""
    references: tuple[str, ...] = ()


class Cause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A known cause, as a file describes it; ``name`` is the file's.

    ``all`` must be there, one of ``any`` must, none of ``none`` may, and ``also`` is only shown if
    it is there. ``reproduced`` says whether this project can make it happen, and how.
    """

    name: str
    title: str
    explanation: str
    all: tuple[AnySign, ...] = ()
    any: tuple[AnySign, ...] = ()
    none: tuple[AnySign, ...] = ()
    also: tuple[AnySign, ...] = ()
    remedy: tuple[Remedy, ...] = ()
    references: tuple[str, ...] = ()
    reproduced: str = ""

    @property
    def signs(self) -> tuple[AnySign, ...]:
        """All of them, in the order of the lists."""
        return (*self.all, *self.any, *self.none, *self.also)
