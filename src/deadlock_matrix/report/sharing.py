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

    def decode(self, data: bytes | memoryview) -> T:
        """Decode as `msgspec.json.decode` does.

        Raises:
            DAMAGE: As there, but the place in the message may be counted within a part of the
                value.
        """
        value: T = self._finish(self._decoder.decode(data))
        return value

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
        decode: Share = msgspec.json.Decoder(kind).decode
        if field.name == "command":  # contains a folder of its own
            decode = self._list_of_texts
        elif field.name != "imported_s":
            decode = _remembered(decode)
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

    def _list_of_texts(self, data: bytes) -> tuple[str, ...]:
        return tuple(map(self._text, _decode_texts(data)))

    def _text(self, text: str) -> str:
        found = self._texts.get(text)
        if found is None:
            if len(self._texts) >= MOST_BYTES >> 7:
                self._texts.clear()
            found = self._texts[text] = text
        return found


class _Finish:
    """Makes values of their type from twins, nearly all from another that differs in a few fields.

    A matrix has few kinds of cells: looking at all fields that are alike at once takes less time
    than looking at each of them.
    """

    def __init__(
        self,
        kind: type[msgspec.Struct],
        own: Sequence[tuple[str, Share | None]],
        alike: Sequence[tuple[str, Share]],
    ) -> None:
        self._kind = kind
        self._plain = tuple(name for name, share in own if share is None)
        self._shared = tuple((name, share) for name, share in own if share is not None)
        self._alike = tuple(alike)
        self._plain_of = _getter(self._plain)
        self._alike_of = _getter([name for name, _ in alike])
        self._known: dict[tuple[bytes, ...], Any] = {}
        self._held = 0

    def __call__(self, twin: Any) -> Any:
        own = dict(zip(self._plain, self._plain_of(twin), strict=True))
        for name, share in self._shared:
            own[name] = share(getattr(twin, name))
        key = tuple(map(bytes, self._alike_of(twin)))
        like = self._known.get(key)
        if like is not None:
            return replace(like, **own)
        for (name, share), data in zip(self._alike, key, strict=True):
            own[name] = share(data)
        value = self._kind(**own)
        self._held += sum(map(len, key))
        if self._held > MOST_BYTES:
            self._known.clear()
            self._held = sum(map(len, key))
        self._known[key] = value
        return value


_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


def _remembered(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    known: dict[bytes, Any] = {}
    held = 0

    def find(data: bytes) -> Any:
        nonlocal held
        try:
            return known[data]
        except KeyError:
            pass
        value = decode(data)
        held += len(data)
        if held > MOST_BYTES:
            known.clear()
            held = len(data)
        known[data] = value
        return value

    return find


def _or_default(decode: Callable[[bytes], Any], field: FieldInfo) -> Share:
    """Decode a field, or use its default if it is missing."""

    def take(raw: Any) -> Any:
        data = bytes(raw)
        if data or field.required:
            return decode(data)
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
        return Raw(b"")
    if field.default_factory is not NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return msgspec.field(default=field.default)
