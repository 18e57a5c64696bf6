"""Plan files: YAML text to a plan, or one error line that names every problem in the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from jepsenvm.errors import UsageError, shorten, shown
from jepsenvm.plan.durations import FORM_TAGS
from jepsenvm.plan.keys import keys_of
from jepsenvm.plan.options import WorkloadOptions, WorkloadRules
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.schedule_item import ScheduleItem


class _PlanLoader(yaml.SafeLoader):
    """Refuses a key that is given twice. YAML's own loader keeps the last one silently."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node))
        if key in mapping:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{shorten(key)}' is given twice", key_node.start_mark
            )
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_PlanLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(text: str, source: str) -> Mapping[str, object]:
    """Return the keys and values of a plan file, without validation.

    ``source`` is the file's name for error messages. Raises UsageError if the text is no YAML
    mapping or has a key twice.
    """
    try:
        document = yaml.load(text, _PlanLoader)  # noqa: S506 - _PlanLoader is a SafeLoader
    except yaml.YAMLError as problem:
        raise UsageError(f"{source}: not readable as YAML: {_yaml_problem(problem)}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError(
            f"{source}: a plan is a mapping of keys to values",
            remedy="write lines like 'time-limit: 60'",
        )
    return document


def _yaml_problem(problem: yaml.YAMLError) -> str:
    """Return what YAML's parser reports and where, without the excerpt of the file."""
    if isinstance(problem, yaml.MarkedYAMLError) and problem.problem_mark is not None:
        mark = problem.problem_mark
        what = problem.problem or "error"
        return f"line {mark.line + 1}, column {mark.column + 1}: {what}"
    return shorten(str(problem))


def resolve(
    document: Mapping[str, object],
    source: str,
    workloads: Mapping[str, WorkloadRules],
    nemeses: Collection[str],
) -> Plan:
    """Return the plan of a document; raise UsageError with every problem in one line.

    ``source`` is the file's name for error messages. Options of workloads that the plan does not
    use are validated and have no effect.
    """
    name = str(document.get("workload", Plan.model_fields["workload"].default))
    defaults = workloads[name].defaults if name in workloads else {}
    options, option_problems = _resolve_options(document, name, workloads)
    plan_keys = _keys(Plan)
    given = {key: value for key, value in document.items() if key in plan_keys}
    problems: list[str] = []
    try:
        plan = Plan.model_validate(
            {**defaults, **given, "options": options},
            by_name=False,
            by_alias=True,
            context={"workloads": workloads, "nemeses": nemeses},
        )
    except ValidationError as error:
        problems += _sentences(error)
    problems += option_problems
    known = plan_keys.union(*(_keys(rules.options) for rules in workloads.values()))
    problems += [_unknown_key(key, known) for key in document if key not in known]
    if problems:
        raise UsageError(f"{source}: " + "; ".join(problems))
    return plan


def _resolve_options(
    document: Mapping[str, object], name: str, workloads: Mapping[str, WorkloadRules]
) -> tuple[WorkloadOptions, list[str]]:
    """Return the options of the plan's workload, and the problems of all workloads' options."""
    options, problems = WorkloadOptions(), list[str]()
    for workload, rules in workloads.items():
        keys = _keys(rules.options)
        given = {key: value for key, value in document.items() if key in keys}
        try:
            validated = rules.options.model_validate(given, by_name=False, by_alias=True)
        except ValidationError as error:
            problems += _sentences(error)
            continue
        if workload == name:
            options = validated
    return options, problems


def _keys(model: type[BaseModel]) -> set[str]:
    return {entry.key for entry in keys_of(model)}


def _unknown_key(key: str, known: Collection[str]) -> str:
    similar = get_close_matches(key, known, n=1)
    remedy = f"did you mean '{similar[0]}'?" if similar else "see docs/plan.md for the keys"
    return f"unknown key '{shorten(key)}' ({remedy})"


def _sentences(error: ValidationError) -> Iterator[str]:
    return (_sentence(details) for details in error.errors())


def _sentence(error: Any) -> str:
    """Return one problem that pydantic found, with the key as the plan file spells it."""
    parts = [
        f"item {part + 1}" if isinstance(part, int) else shorten(part)
        for part in error["loc"]
        if part not in FORM_TAGS
    ]
    key = " ".join(parts)
    if error["type"] == "extra_forbidden":
        known = ", ".join(sorted(entry.key for entry in keys_of(ScheduleItem)))
        return f"{' '.join(parts[:-1])}: unknown key '{parts[-1]}' (known: {known})"
    if error["type"] == "missing":
        return f"{key}: must be given"
    text = str(error["msg"]).removeprefix("Value error, ")
    if not key:
        return text
    return f"{key}: {text} (found {shown(error['input'])})"
