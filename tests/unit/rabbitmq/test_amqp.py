"""The texts of failed operations."""

from __future__ import annotations

import pytest

from jepsenvm.rabbitmq.amqp import SessionLost, failure_text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (SessionLost("541 INTERNAL_ERROR"), "541 INTERNAL_ERROR"),
        (TimeoutError(110, "Connection timed out"), "[Errno 110] Connection timed out"),
        (TimeoutError(), "no confirm within 5 s"),
    ],
)
def test_a_failure_without_text_of_its_own_is_a_timeout(problem: Exception, text: str) -> None:
    assert failure_text(problem, "no confirm within 5 s") == text


def test_a_timeout_is_never_an_empty_text() -> None:
    assert failure_text(TimeoutError()) == "no answer in time"
