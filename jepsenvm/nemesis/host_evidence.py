"""Evidence of the probe ``hosts``: whether hosts answer at their SSH ports."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from jepsenvm.nemesis.fault import Evidence

PROBE: Final = "hosts"


def still_answering(nodes: Collection[str], during: Evidence) -> Iterator[str]:
    """Yield a reason for each host that answers during the fault, or was not probed."""
    for node in nodes:
        if during[PROBE].get(node) is not False:
            yield f"{node} still answers, or was not probed"


def not_answering_again(nodes: Collection[str], after: Evidence) -> Iterator[str]:
    """Yield a reason for each host that does not answer after healing."""
    for node in nodes:
        if not after[PROBE].get(node):
            yield f"{node} does not answer"
