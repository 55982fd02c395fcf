"""Leave statements out of what a script brings, as long as it still hangs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from deadlock_matrix.diagnosis.investigation.minimise import Minimiser, OutOfTime
from deadlock_matrix.diagnosis.investigation.reproducer import Script
from deadlock_matrix.diagnosis.investigation.sources import Source, pieces
from deadlock_matrix.diagnosis.text import count
from deadlock_matrix.model.diagnosis import Minimised

WORTH_SHRINKING = 16
"""Most statements of a script that is not shrunk: it is read as fast as it would be shrunk."""

_Piece = tuple[int, int]
"""A text, the script's own (-1) or that of a source, and a statement of it."""


def shrink(
    script: Script,
    hangs: Callable[[Script], bool],
    in_time: Callable[[], bool],
    tell: Callable[[str], None],
) -> tuple[Script, Minimised | None]:
    """Leave top-level statements out of the user's script and of the files that it brings.

    Args:
        script: A script that hangs.
        hangs: Runs a script, and says whether it hangs as this one does.
        in_time: Whether one more may be run.
        tell: Called once, if there is anything to do.

    Returns:
        The smallest script that hung, and what was left out; None if it was small from the start.
    """
    python = [number for number, source in enumerate(script.sources) if source.name.endswith(".py")]
    texts = {-1: script.statement, **{n: script.sources[n].text for n in python}}
    parts = {number: pieces(text) for number, text in texts.items()}
    elements = [(n, at) for n, found in parts.items() for at in range(len(found))]
    if len(elements) < WORTH_SHRINKING:
        return script, None
    tell("leaving out of the script what the hang does not need")

    def with_pieces(kept: Sequence[_Piece]) -> Script:
        chosen = {
            number: "".join(parts[number][at] for n, at in kept if n == number) for number in parts
        }
        sources = tuple(
            Source(name=source.name, text=chosen.get(number, source.text))
            for number, source in enumerate(script.sources)
        )
        return replace(script, statement=chosen[-1] or "pass", sources=sources)

    def still_hangs(kept: tuple[_Piece, ...]) -> bool:
        if not in_time():
            raise OutOfTime
        return hangs(with_pieces(kept))

    minimiser = Minimiser(elements, still_hangs)
    kept = minimiser.run()
    said = Minimised(
        of="the statements",
        elements=(count(len(kept), "statement"),),
        out_of=len(elements),
        probes=minimiser.probes,
        whole=minimiser.whole,
    )
    small = with_pieces(kept)
    needed = tuple(each for each in small.sources if each.text or each.name.endswith("__init__.py"))
    leaner = replace(small, sources=needed)
    if needed != small.sources and in_time() and hangs(leaner):
        small = leaner
    return small, said
