"""What a scan of many processes found: one line each, and one for all of them."""

from __future__ import annotations

from deadlock_matrix.diagnosis.text import count, listed, one_line
from deadlock_matrix.model.scan import Finding, Tally
from deadlock_matrix.model.verdict import TITLES


def finding_text(finding: Finding) -> str:
    """Say in one line how sure it is, which process, and the sentence of the proof."""
    process = f"process {finding.pid}"
    if finding.program:
        process += f" ({finding.program})"
    if finding.event == "over":
        return one_line(f"over: {process}: {finding.over}")
    return one_line(f"{TITLES[finding.outcome]}: {process}: {finding.sentence}")


def tally_text(tally: Tally, findings: int) -> str:
    """Say how many processes there were, how many hang, and what could not be looked at and why."""
    if not tally.processes and not tally.refused:
        return "no running Python process matches: no deadlock"
    text = (
        f"{count(tally.processes, 'process', 'processes')} looked at, "
        f"{tally.looked_closely} of them closely: "
        + (count(findings, "deadlock") if findings else "no deadlock")
    )
    if tally.late:
        text += f"; there was no time for a close look at {tally.late} more"
    if tally.refused:
        reasons = sorted(tally.refused.items(), key=lambda each: (-each[1], each[0]))
        told = listed([f"{number} ({reason})" for reason, number in reasons])
        text += f"; not readable, so not known to be Python: {told}"
    return one_line(text)
