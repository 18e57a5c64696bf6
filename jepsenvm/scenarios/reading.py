"""Scenario files: a file to a scenario, or one error line that names every problem in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from jepsenvm.errors import UsageError, shorten
from jepsenvm.experiment.plan_file import SCENARIO, plan_part, read_document, resolve_plan
from jepsenvm.experiment.run_analysis import run_checkers
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.problems import sentences
from jepsenvm.scenarios.scenario import About, Expectation, Outcomes, Scenario

_NESTED: Final[Mapping[str, type[BaseModel]]] = {
    SCENARIO: About,
    "expected": Expectation,
    "outcomes": Outcomes,
}


class _File(BaseModel):
    """A scenario file without its plan."""

    scenario: About


def read_scenario(path: Path) -> Scenario:
    """Return the scenario in a file; raise UsageError with every problem of it in one line."""
    return scenario_of(read_document(path), path)


def scenario_of(document: Mapping[str, object], path: Path) -> Scenario:
    """Return the scenario of a document; ``path`` is its file."""
    if SCENARIO not in document:
        raise UsageError(
            f"{path}: {SCENARIO}: must be given", remedy="add that key as docs/scenarios.md says"
        )
    try:
        about = _File.model_validate({SCENARIO: document[SCENARIO]}).scenario
    except ValidationError as error:
        raise _refused(path, sentences(error, _NESTED)) from None
    plan = resolve_plan(plan_part(document), str(path))
    if problems := list(_problems(about, plan, path)):
        raise _refused(path, problems)
    return Scenario(about, plan, plan_part(document), path)


def _refused(path: Path, problems: Iterable[str]) -> UsageError:
    return UsageError(f"{path}: {'; '.join(problems)}", remedy="see docs/scenarios.md")


def _problems(about: About, plan: Plan, path: Path) -> Iterator[str]:
    """Yield what the plan and the file's name make wrong in a scenario."""
    if plan.name != path.stem:
        yield f"name: must be {shorten(path.stem)}, as the file is called (found {plan.name})"
    known = run_checkers(plan, {})
    for number, expectation in enumerate(about.expected, start=1):
        for checker in expectation.checkers:
            if checker not in known:
                yield (
                    f"scenario expected item {number} checkers: workload {plan.workload} has no "
                    f"checker {shorten(checker)!r} (known: {', '.join(sorted(known))})"
                )
