"""Restarts by jepsenvm: which nodes recovery restarted, and what that may have cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jepsenvm.history.nemesis_records import RECOVER
from jepsenvm.history.table import History


def recovery_records(history: History) -> list[dict[str, Any]]:
    """Return what each recovery recorded, in the order of recording."""
    return [
        op.data for op in history.nemesis_ops() if op.f == RECOVER and isinstance(op.data, dict)
    ]


def restarted_by_recovery(history: History) -> list[str]:
    """Return the nodes that jepsenvm itself restarted between the last fault and the drain."""
    return _restarted(recovery_records(history))


def _restarted(records: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({node for record in records for node in record.get("restarted") or ()})


def restart_doubt(history: History) -> str | None:
    """Return why missing messages may be jepsenvm's fault instead of the broker's, or None.

    jepsenvm restarted every node that had a replica of the queue, or it is not known which had one.
    Records of earlier versions say nothing about replicas and leave no doubt.
    """
    # A recovery that restarts no node does not ask for the replicas.
    records = [record for record in recovery_records(history) if record.get("restarted")]
    if not records or "replicas" not in records[-1]:
        return None
    restarted, replicas = _restarted(records), records[-1]["replicas"]
    if replicas and not set(replicas) <= set(restarted):
        return None
    which = "every node with a replica" if replicas else "nodes that may have the only replicas"
    return f"jepsenvm restarted {which} ({', '.join(restarted)}) before the drain"
