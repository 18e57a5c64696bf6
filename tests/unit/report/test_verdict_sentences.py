"""The verdict in a sentence for everybody."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.checkers.verdict import Result, Results, Verdict
from jepsenvm.report.presentation import Presentation
from jepsenvm.report.verdict_sentences import setting_text, verdict_sentences

SHOWN = Presentation(main_checker="main", headline=lambda _: "")


def sentences(verdict: Verdict, *reasons: str, faults: int = 1, **figures: Any) -> tuple[str, str]:
    named = {key.replace("_", "-"): value for key, value in figures.items()}
    results = Results(verdict, reasons, {"main": Result(verdict, reasons, named)})
    found = verdict_sentences(results, SHOWN, proven_faults=faults, setting="RabbitMQ 4.0.5")
    return found.verdict, found.meaning


def test_a_valid_run() -> None:
    verdict, meaning = sentences(Verdict.VALID, faults=2, load_acknowledged_count=62138)
    assert (
        verdict == "The cluster kept all 62,138 messages that it confirmed, under 2 proven faults."
    )
    assert "RabbitMQ 4.0.5" in meaning
    assert "says nothing about faults" in meaning


def test_a_valid_run_without_messages() -> None:
    verdict, _ = sentences(Verdict.VALID, faults=0)
    assert verdict == "The cluster kept its promises, under no proven fault."


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (
            {"lost_count": 17089, "acknowledged_count": 62138},
            "The cluster lost 17,089 of the 62,138 messages that it had confirmed.",
        ),
        ({"unexpected_count": 1}, "The cluster delivered 1 message that nobody had sent."),
        (
            {"lost_count": 2, "acknowledged_count": 9, "corrupted_count": 3},
            "The cluster lost 2 of the 9 messages that it had confirmed and delivered 3 messages "
            "with another content than was sent.",
        ),
        ({"doubled_count": 2}, "The cluster gave a lock to two holders at once 2 times."),
        ({}, "The cluster broke a promise that this run checks."),
    ],
)
def test_an_invalid_run(figures: dict[str, Any], expected: str) -> None:
    verdict, meaning = sentences(Verdict.INVALID, "n1 was restarted", **figures)
    assert verdict == expected
    assert "under 1 proven fault" in meaning
    assert ("n1 was restarted." in meaning) is not bool(figures)


def test_an_unknown_run_is_never_read_as_a_pass() -> None:
    verdict, meaning = sentences(
        Verdict.UNKNOWN, "the drain did not finish", faults=0, undecided_count=4
    )
    assert verdict == "This run does not show whether the cluster keeps its promises."
    assert "Don't read it as a pass" in meaning
    assert "4 confirmed messages did not come back, and may be lost." in meaning
    assert "The reason: the drain did not finish." in meaning


def test_what_was_tested() -> None:
    assert setting_text({}) == "this cluster"
    assert (
        setting_text(
            {"RabbitMQ": "3.10.8", "queue type": "mirrored", "partition handling": "autoheal"}
        )
        == "RabbitMQ 3.10.8 (mirrored queue, autoheal)"
    )
