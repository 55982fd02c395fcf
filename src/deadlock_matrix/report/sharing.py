"""Reading results by the thousand: what several of them have in common is in memory once.

The cells of a matrix have a handful of interpreters, profiles and commands, and their processes
load the same packages. So only what differs from result to result is decoded each time. The bytes
of everything else are looked up among those that were decoded before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Raw
from msgspec.structs import FieldInfo, fields, replace

from deadlock_matrix.model.cell import Cell
from deadlock_matrix.model.fact import Known
from deadlock_matrix.model.observation import CellResult, Observation, ProbeFacts

MOST_BYTES = 1 << 19
"""How many bytes of one field to remember; neighbours in a report are the most alike."""

MOST_TEXTS = 1 << 12
"""How many texts to remember, of those that stand alone or in a list."""

_MISSING = Raw(b"")

T = TypeVar("T", bound=msgspec.Struct)
Share = Callable[[Any], Any]

_OPENED = (CellResult, Cell, Observation, ProbeFacts)  # each differs from the next in some fields
_OWN = ("why", "command", "evidence", "judgement", "imported_s")
"""The fields that differ from result to result, besides the numbers."""


class SharingDecoder(Generic[T]):
    """Decodes one type from JSON, such as results: they share what they have in common."""

    def __init__(self, kind: type[T]) -> None:
        self._texts: dict[str, str] = {}
        twin, self._finish = self._opened(kind)
        self._decoder = msgspec.json.Decoder(twin)
        several: Any = list.__class_getitem__(twin)
        self._list_decoder = msgspec.json.Decoder(several)

    def decode(self, data: bytes | memoryview) -> T:
        """Decode as `msgspec.json.decode` does.

        Raises:
            DAMAGE: As there, but the place in the message may be counted within a part of the
                value.
        """
        value: T = self._finish(self._decoder.decode(data))
        return value

    def decode_list(self, data: bytes | memoryview) -> list[T]:
        """Decode a list of such values; raise as `decode`."""
        return [self._finish(each) for each in self._list_decoder.decode(data)]

    def decode_lines(self, data: bytes | memoryview) -> list[T]:
        """Decode such values, one a line; raise as `decode`."""
        return [self._finish(each) for each in self._decoder.decode_lines(data)]

    def _opened(self, kind: type[msgspec.Struct]) -> tuple[Any, Share]:
        """Return a twin of ``kind``, whose shareable fields stay undecoded, and the way back.

        It accepts and refuses what ``kind`` does: names, defaults, unknown fields.
        """
        twins: list[tuple[str, Any, Any]] = []
        own: list[tuple[str, Share | None]] = []
        alike: list[tuple[str, Share]] = []
        for field in fields(kind):
            twin, share, differs = self._field(field)
            twins.append((field.encode_name, twin, _default(field, twin)))
            if differs:
                own.append((field.name, share))
            else:
                assert share is not None
                alike.append((field.name, share))
        strict = kind.__struct_config__.forbid_unknown_fields
        twin = msgspec.defstruct(
            kind.__name__, twins, kw_only=True, gc=False, forbid_unknown_fields=strict
        )
        return twin, _Finish(kind, own, alike)

    def _field(self, field: FieldInfo) -> tuple[Any, Share | None, bool]:
        """Return a field's type in the twin, how its value becomes the field's, and if it differs.

        A field that is alike in most results stays undecoded in the twin, as a `Raw`, which is
        empty if the field is missing.
        """
        kind = field.type
        if kind in _OPENED:
            return *self._opened(kind), True
        if get_origin(kind) is tuple and get_args(kind)[0] in _OPENED:
            twin, finish = self._opened(get_args(kind)[0])
            several: Any = tuple.__class_getitem__((twin, ...))
            return several, lambda values: tuple(map(finish, values)), True
        if _is_small(kind):
            return kind, None, True
        known = next((each for each in get_args(kind) if get_origin(each) is Known), None)
        if known is not None and (get_args(known)[0] in (*_OPENED, int, float)):
            return *self._fact(kind, known), True
        if field.name in _OWN:
            if kind is str:
                return kind, self._text, True
            if kind == tuple[str, ...]:
                return kind, self._list_of_texts, True
            if get_origin(kind) is dict:
                return kind, None, True
        decode = _remembered(msgspec.json.Decoder(kind).decode)
        return Raw, _or_default(decode, field), field.name in _OWN

    def _fact(self, union: Any, known: Any) -> tuple[Any, Share]:
        (kind,) = get_args(known)
        twin, share = self._opened(kind) if kind in _OPENED else (kind, None)
        fact: Any = msgspec.defstruct(
            "Known",
            [("value", twin), ("source", str)],
            tag_field="fact", tag="known", kw_only=True, gc=False,
        )  # fmt: skip
        others = [each for each in get_args(union) if each is not known]

        def finish(value: Any) -> Any:
            if type(value) is not fact:  # unknown
                return value
            inner = share(value.value) if share else value.value
            return Known(value=inner, source=self._text(value.source))

        return Union[(fact, *others)], finish

    def _list_of_texts(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        self._forget()
        return tuple(map(self._texts.setdefault, texts, texts))

    def _text(self, text: str) -> str:
        self._forget()
        return self._texts.setdefault(text, text)

    def _forget(self) -> None:
        if len(self._texts) >= MOST_TEXTS:
            self._texts.clear()


class _Finish:
    """Makes values of their type from twins, nearly all from another that differs in a few fields.

    A matrix has few kinds of cells: looking at all fields that are alike at once takes less time
    than looking at each of them. Comparing them takes a fraction of the time of hashing them, so
    each is compared with the last one whose fields have the same lengths: nearly always, they are
    equal.
    """

    def __init__(
        self,
        kind: type[msgspec.Struct],
        own: Sequence[tuple[str, Share | None]],
        alike: Sequence[tuple[str, Share]],
    ) -> None:
        self._kind = kind
        self._all = *((name, share or _itself) for name, share in own), *alike
        self._alike_of = _getter([name for name, _ in alike])
        self._with_own = _replacing(own)
        self._last: tuple[tuple[Raw, ...], Any] = (), None
        self._known: dict[tuple[int, ...], tuple[tuple[Raw, ...], Any]] = {}
        self._held = 0

    def __call__(self, twin: Any) -> Any:
        alike = self._alike_of(twin)
        if alike != self._last[0]:
            lengths = tuple(map(len, alike))
            found = self._known.get(lengths)
            if found is None or alike != found[0]:
                return self._first(twin, alike, lengths)
            self._last = found
        return self._with_own(self._last[1], twin)

    def _first(self, twin: Any, alike: tuple[Raw, ...], lengths: tuple[int, ...]) -> Any:
        """Make the first value of its kind, from which others are made."""
        values = {name: share(getattr(twin, name)) for name, share in self._all}
        value = self._kind(**values)
        self._held += sum(lengths)
        if self._held > MOST_BYTES:
            self._known.clear()
            self._held = sum(lengths)
        self._last = self._known[lengths] = tuple(raw.copy() for raw in alike), value
        return value


def _itself(value: Any) -> Any:
    return value


def _replacing(own: Sequence[tuple[str, Share | None]]) -> Callable[[Any, Any], Any]:
    """Return what makes a value from one that is like it and a twin's own fields.

    It names each field, as the methods do that `dataclasses` writes: handing them over in a
    dictionary took half of the time. What it evaluates holds only names of fields of our types.
    """
    shares = {f"share_{name}": share for name, share in own if share is not None}
    fields = (
        f"{name}=share_{name}(twin.{name})" if share is not None else f"{name}=twin.{name}"
        for name, share in own
    )
    made: Callable[[Any, Any], Any] = eval(
        f"lambda like, twin: replace(like, {', '.join(fields)})", {"replace": replace, **shares}
    )
    return made


def _remembered(decode: Callable[[bytes], Any]) -> Share:
    known: dict[bytes, Any] = {}
    held = 0
    last: Raw | None = None
    value: Any = None

    def find(raw: Raw) -> Any:
        nonlocal held, last, value
        if raw == last:  # neighbours are the most alike
            return value
        data = bytes(raw)
        if data not in known:
            decoded = decode(data)
            held += len(data)
            if held > MOST_BYTES:
                known.clear()
                held = len(data)
            known[data] = decoded
        last, value = Raw(data), known[data]
        return value

    return find


def _or_default(decode: Share, field: FieldInfo) -> Share:
    """Decode a field, or use its default if it is missing."""

    def take(raw: Any) -> Any:
        if field.required or raw != _MISSING:
            return decode(raw)
        factory = field.default_factory
        return factory() if callable(factory) else field.default

    return take


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple([getattr(value, name) for name in names])


def _is_small(kind: Any) -> bool:
    """Return whether a value takes hardly more room than a reference to a shared one."""
    if get_origin(kind) in (Union, UnionType):
        return all(each is type(None) or each in (int, float, bool) for each in get_args(kind))
    if get_origin(kind) is Literal or kind in (int, float, bool):
        return True
    return isinstance(kind, type) and issubclass(kind, str) and kind is not str  # an enumeration


def _default(field: FieldInfo, twin: Any) -> Any:
    if field.required:
        return NODEFAULT
    if twin is Raw:
        return _MISSING
    if field.default_factory is not NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return msgspec.field(default=field.default)
