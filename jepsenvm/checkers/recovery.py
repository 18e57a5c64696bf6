"""recovery: whether the cluster recovered after the last fault, by itself or with help."""

from __future__ import annotations

from jepsenvm.checkers.own_restarts import recovery_records
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.table import History


def recovery(history: History) -> Result:
    """Return unknown if the cluster did not recover; name the nodes that had to be restarted.

    A restarted node is a finding for users and does not change the verdict. The plan key
    ``recover-within`` (checker availability) makes it invalid.
    """
    records = recovery_records(history)
    if not records:
        return Result(
            Verdict.UNKNOWN, ("the run ended before the cluster was observed to recover",)
        )
    last = records[-1]
    reasons = [
        f"{node} did not come back by itself within {last['deadline']:g} s of the healing, "
        "and was restarted"
        for node in last["restarted"]
    ]
    if last["troubles"]:
        troubles = "; ".join(f"{node} {text}" for node, text in sorted(last["troubles"].items()))
        reasons.append(f"the cluster did not recover: {troubles}")
    figures = {key: last[key] for key in ("seconds", "restarted", "troubles")}
    return Result(Verdict.UNKNOWN if last["troubles"] else Verdict.VALID, tuple(reasons), figures)
