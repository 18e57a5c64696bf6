"""What an input gave: an answer, a refusal, or one of the failures that fuzzing looks for."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jepsenvm.cli.main import _print_error
from jepsenvm.errors import JepsenvmError

REFUSED: Final = "refused"
ANSWERED: Final = "answered"

TRACEBACK: Final = "traceback"
SIGNAL: Final = "signal"
HANG: Final = "hang"
WRONG_VALID: Final = "wrong VALID"
WRONG_INVALID: Final = "wrong INVALID"
UNCLEAR: Final = "unclear message"
WRONG_ANSWER: Final = "wrong answer"
FAILURES: Final = (
    TRACEBACK,
    SIGNAL,
    HANG,
    WRONG_VALID,
    WRONG_INVALID,
    WRONG_ANSWER,
    UNCLEAR,
)
"""Outcomes that must not occur."""

LONGEST_MESSAGE: Final = 2500
"""Characters of an error. A message that repeats its input is longer."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one input; ``detail`` tells failures of different causes apart."""

    name: str
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether this outcome must not occur."""
        return self.name in FAILURES


def observe(
    call: Callable[[], Any],
    decide: Callable[[Any], Outcome] = lambda _: Outcome(ANSWERED),
    *,
    crash_status: int | None = None,
) -> Outcome:
    """Return the outcome of a call; ``decide`` names the outcome of its answer.

    A JepsenvmError is a refusal, unless its exit status is ``crash_status``.
    """
    try:
        answer = call()
    except JepsenvmError as error:
        if error.exit_status == crash_status:
            return Outcome(TRACEBACK, f"exit {crash_status}: {_place(error)}")
        return unclear(_printed(str(error))) or Outcome(REFUSED)
    except Exception as error:
        return Outcome(TRACEBACK, f"{type(error).__name__} in {_place(error)}")
    return decide(answer)


def unclear(line: str) -> Outcome | None:
    """Return the failure of a message that no terminal should get; None if it is fine."""
    if len(line) > LONGEST_MESSAGE:
        return Outcome(UNCLEAR, f"a message of more than {LONGEST_MESSAGE} characters")
    if not line.isprintable():
        return Outcome(UNCLEAR, "control characters in a message")
    return None


def _printed(line: str) -> str:
    """Return what the command line prints about an error."""
    printed = io.StringIO()
    with redirect_stderr(printed):
        _print_error(line, with_traceback=False)
    return printed.getvalue().rstrip("\n")


def _place(error: BaseException) -> str:
    """Return the innermost function of jepsenvm that the error passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/jepsenvm/" in frame.filename]
    if not own:
        return "the fuzzer itself"
    frame = own[-1]
    module = Path(frame.filename).with_suffix("").parts
    return f"{'/'.join(module[-2:])} {frame.name}"
