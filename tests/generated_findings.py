"""The findings of the stored campaigns in docs/findings, for docs/findings.md.

Each campaign has its file ``NAME.yml``, and a folder ``NAME`` with its planned runs and their
records. The histories are too large to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jepsenvm.campaign import markdown
from jepsenvm.campaign.folder import FILE, Folder
from jepsenvm.campaign.merge import merged
from jepsenvm.campaign.spec import VERSION
from jepsenvm.campaign.summary import Line, Share, Summary
from jepsenvm.campaign.wording import percent, share
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.checkers.wording import counted
from jepsenvm.rabbitmq.versions import release

FINDINGS: Final = Path(__file__).resolve().parents[1] / "docs" / "findings"


def findings() -> str:
    """Return the reports of the stored campaigns, below the headings of docs/findings.md."""
    folders = sorted(file.parent for file in FINDINGS.glob(f"*/{FILE}"))
    return "\n".join(_demoted(markdown.report(merged([Folder(folder)]))) for folder in folders)


def answers() -> str:
    """Return one sentence for each combination of the campaign ``post-2016``."""
    summary = merged([Folder(FINDINGS / "post-2016")])
    return "".join(f"- {sentence}\n" for sentence in _answers(summary))


def _answers(summary: Summary) -> Iterator[str]:
    for line in sorted(summary.lines, key=_order):
        handling = line.settings["partition-handling"]
        with_handling = "" if handling == "-" else f" with {handling}"
        queues = f"{line.settings['queue-type']} queues{with_handling} on {line.settings[VERSION]}"
        yield f"**{queues}** {_sentence(line)}"


def _order(line: Line) -> tuple[str, str, tuple[int, ...]]:
    settings = line.settings
    return settings["queue-type"], settings["partition-handling"], release(settings[VERSION])


def _sentence(line: Line) -> str:
    decided, planned = line.decided, len(line.results)
    unproven = planned - len(decided)
    more = f" {counted(unproven, 'further run')} proved nothing or did not run." if unproven else ""
    if not decided:
        return f"were not tested: none of {counted(planned, 'run')} proved anything."
    lossy = [one for one in decided if one.lost]
    lost = sum(one.lost or 0 for one in decided)
    acknowledged = sum(one.acknowledged or 0 for one in decided)
    other = sum(one.verdict is Verdict.INVALID and not one.lost for one in decided)
    others = f" {counted(other, 'run')} broke another promise." if other else ""
    of_runs = f"in {counted(len(decided), 'run')}, of {acknowledged:,} confirmed messages"
    if not lossy:
        bound = Share(0, len(decided)).interval
        most = (
            f" The 95 % interval of runs with a loss ends at {percent(bound[1])}." if bound else ""
        )
        return f"lost nothing {of_runs}.{most}{others}{more}"
    ratio = share(Share(len(lossy), len(decided)))
    return (
        f"lost confirmed messages in {len(lossy)} of {counted(len(decided), 'run')} ({ratio}): "
        f"{lost:,} of {acknowledged:,}.{others}{more}"
    )


def _demoted(text: str) -> str:
    """Return a Markdown page whose headings are one level lower."""
    return "".join(
        f"#{line}" if line.startswith("#") else line for line in text.splitlines(keepends=True)
    )
