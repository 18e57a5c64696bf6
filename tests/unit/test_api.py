"""The public API: a dozen names, all there, enough to judge a history."""

from __future__ import annotations

import jepsenvm
from jepsenvm import Op, Verdict, check, from_ops, total_queue


def test_every_public_name_is_there() -> None:
    assert all(getattr(jepsenvm, name) is not None for name in jepsenvm.__all__)
    assert len(jepsenvm.__all__) <= 15


def test_a_history_is_judged_with_the_public_names_alone() -> None:
    history = from_ops([Op("invoke", "enqueue", 1), Op("ok", "enqueue", 1)])
    assert check(history, {"total-queue": total_queue}).verdict is Verdict.INVALID
