"""The kind ``plan``: changed plan files and ``--set`` options, and the faults that they schedule."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Final

from pydantic import BaseModel

from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import parse_overrides, plan_of_new_run, read_plan
from jepsenvm.nemesis.schedule import schedule
from jepsenvm.plan.keys import keys_of
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.registry import WORKLOADS
from tests.fuzz.mutations import HOSTILE, changed_text
from tests.fuzz.outcome import ANSWERED, WRONG_ANSWER, Outcome, observe
from tests.fuzz.runs import NODES

REPOSITORY: Final = Path(__file__).parents[2]
FOLDERS: Final = ("jepsenvm/scenarios", "examples", "tests/unit/plan/data")


class Plans:
    """The plan files of the repository, and the inputs that are made from them."""

    def __init__(self) -> None:
        """Read the plan files."""
        paths = [path for name in FOLDERS for path in sorted((REPOSITORY / name).rglob("*.yml"))]
        self._texts = [text for path in paths if _is_plan(text := path.read_text("utf-8"))]
        models: list[type[BaseModel]] = [
            Plan,
            *(workload.options for workload in WORKLOADS.values()),
        ]
        self._keys = sorted({entry.key for model in models for entry in keys_of(model)})

    def run(self, random: Random, folder: Path) -> Outcome:
        """Read a changed plan file or an override, draw its faults, write it and read it again."""
        path = folder / "plan.yml"
        words: list[str] = []
        if random.random() < 0.6:
            path.write_bytes(changed_text(random, random.choice(self._texts)))
        else:
            key = random.choice(self._keys)
            path.write_text(random.choice(self._texts), "utf-8")
            words = [f"{key}={random.choice(HOSTILE)}"]
            (folder / "set.txt").write_text(words[0], "utf-8", "surrogatepass")
        return observe(lambda: _read(path, words), _decide)


def _is_plan(text: str) -> bool:
    return "- hosts" not in text and "all:" not in text


def _read(path: Path, words: list[str]) -> tuple[Plan, Plan]:
    plan = plan_of_new_run(path, parse_overrides(words))
    with suppress(UsageError):  # three nodes are too few for some faults
        schedule(plan, NODES)
    written = path.with_name("written.yml")
    written.write_text(plan.to_yaml(), "utf-8")
    return plan, read_plan(written)


def _decide(answer: tuple[Plan, Plan]) -> Outcome:
    plan, again = answer
    if plan.to_yaml() != again.to_yaml():
        return Outcome(WRONG_ANSWER, "a written plan reads as another plan")
    return Outcome(ANSWERED)
