"""The record in the folder of a run: the scenario that was run, and what came of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Self

from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import MALFORMED, UsageError
from jepsenvm.experiment.store import Store
from jepsenvm.scenarios.comparison import Comparison

FILE: Final = "scenario.json"


@dataclass(frozen=True)
class Record:
    """One run of a scenario. What is not known yet is None."""

    scenario: str
    repetition: int
    """The number of this run, from 1."""
    repeat: int
    """The number of runs that were asked for."""
    rabbitmq: str | None = None
    """The version of RabbitMQ on the nodes."""
    expected: str | None = None
    """The expectation for this version, such as ``invalid (rare)``; None if there is none."""
    verdict: Verdict | None = None
    comparison: Comparison | None = None

    def of(
        self, rabbitmq: str | None, expected: str | None, verdict: Verdict, comparison: Comparison
    ) -> Self:
        """Return the record of the finished run."""
        return replace(
            self, rabbitmq=rabbitmq, expected=expected, verdict=verdict, comparison=comparison
        )

    def write(self, store: Store) -> None:
        """Write the record to the folder of its run."""
        store.write(FILE, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the record in the folder of a run; None if the run is of no scenario."""
        file = folder / FILE
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            verdict, comparison = data["verdict"], data["comparison"]
            return cls(
                scenario=str(data["scenario"]),
                repetition=int(data["repetition"]),
                repeat=int(data["repeat"]),
                rabbitmq=None if data["rabbitmq"] is None else str(data["rabbitmq"]),
                expected=None if data["expected"] is None else str(data["expected"]),
                verdict=None if verdict is None else Verdict(verdict),
                comparison=None if comparison is None else Comparison(comparison),
            )
        except FileNotFoundError:
            return None
        except (OSError, *MALFORMED):
            raise UsageError(f"{file}: damaged", remedy="repeat the scenario") from None
