"""Plan files: YAML text to a plan, or one error line that names every problem in the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from jepsenvm.errors import UsageError, shorten
from jepsenvm.plan.keys import keys_of
from jepsenvm.plan.options import WorkloadOptions, WorkloadRules
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.problems import MAX_PROBLEMS, sentences
from jepsenvm.plan.rate import RatePiece
from jepsenvm.plan.schedule_item import ScheduleItem

MAX_CHARACTERS: Final = 1_000_000
MAX_VALUES: Final = 10_000
MAX_DEPTH: Final = 20
"""Limits of a plan file. A plan needs much less, and a larger file would take long to read."""

_NESTED: Final[Mapping[str, type[BaseModel]]] = {"rate": RatePiece, "schedule": ScheduleItem}
"""The models within the values of plan keys."""

# libyaml's parser is twenty times as fast. PyYAML may have been built without it.
_Loader: Final[type[yaml.SafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _PlanLoader(_Loader):  # type: ignore[misc, valid-type]  # chosen when this module is imported
    """Refuses a key that is given twice. YAML's own loader keeps the last one silently."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _problem_at(key_node, "a key must be a text")
        # As it is written: for YAML, the keys `on` and `yes` are true.
        key = str(key_node.value)
        if key in mapping:
            raise _problem_at(key_node, f"the key '{shorten(key)}' is given twice")
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_PlanLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _require_plain(text: str) -> None:
    """Raise YAMLError for tags, aliases, too many values and values nested too deeply.

    A plan needs none of them. Aliases and nesting can make a small file expensive.
    """
    depth = count = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if not isinstance(event, yaml.NodeEvent):
            continue
        count += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _problem_at(event, "a plan has no anchors and aliases (& and *)")
        if getattr(event, "tag", None) is not None:
            raise _problem_at(event, "a plan has no tags (!)")
        depth += isinstance(event, yaml.CollectionStartEvent)
        if depth > MAX_DEPTH:
            raise _problem_at(event, f"the values are nested more than {MAX_DEPTH} levels deep")
        if count > MAX_VALUES:
            raise _problem_at(event, f"there are more than {MAX_VALUES:,} values")


def _problem_at(part: yaml.Event | yaml.Node, text: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(
        None,
        None,
        text,
        part.start_mark,  # type: ignore[arg-type]  # libyaml has a class of its own for marks
    )


def read(text: str, source: str) -> Mapping[str, object]:
    """Return the keys and values of a plan file, without validation.

    ``source`` is the file's name for error messages. Raises UsageError if the text is no YAML
    mapping, has a key twice, or has something that no plan needs, such as tags and aliases.
    """
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"{source}: a plan has at most {MAX_CHARACTERS:,} characters")
    try:
        _require_plain(text)
        document = yaml.load(text, _PlanLoader)  # noqa: S506 - _PlanLoader is a SafeLoader
    except yaml.YAMLError as problem:
        raise UsageError(f"{source}: not readable as YAML: {_yaml_problem(problem)}") from None
    except UnicodeEncodeError:
        raise UsageError(f"{source}: not readable as UTF-8 text") from None
    except (ValueError, IndexError, ArithmeticError) as problem:
        # A value that looks like a number or a date and is none, such as 2026-13-01.
        raise UsageError(
            f"{source}: not readable as YAML: {shorten(problem)}", remedy="put that value in quotes"
        ) from None
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
    given = _given(document, Plan, plan_keys)
    problems: list[str] = []
    try:
        plan = Plan.model_validate(
            {**defaults, **given, "options": options},
            by_name=False,
            by_alias=True,
            context={"workloads": workloads, "nemeses": nemeses},
        )
    except ValidationError as error:
        problems += sentences(error, _NESTED)
    problems += option_problems
    known = plan_keys.union(*(_keys(rules.options) for rules in workloads.values()))
    unknown = [key for key in document if key not in known]
    problems += [_unknown_key(key, known) for key in unknown[:MAX_PROBLEMS]]
    if problems:
        count = len(problems) + len(unknown[MAX_PROBLEMS:])
        more = [f"{count - MAX_PROBLEMS:,} more problems"] if count > MAX_PROBLEMS else []
        raise UsageError(f"{source}: " + "; ".join([*problems[:MAX_PROBLEMS], *more]))
    return plan


class _Boolean:
    """A boolean where a plan needs another type. pydantic would take it for 0 or 1."""

    def __init__(self, value: bool) -> None:
        self._text = str(value).lower()

    def __repr__(self) -> str:
        return self._text


def _given(
    document: Mapping[str, object], model: type[BaseModel], keys: Collection[str]
) -> dict[str, object]:
    """Return the keys of a document that a model has, without booleans that it does not take."""
    booleans = {field.alias for field in model.model_fields.values() if field.annotation is bool}
    return {
        key: value if key in booleans else _without_booleans(value)
        for key, value in document.items()
        if key in keys
    }


def _without_booleans(value: object) -> object:
    if isinstance(value, bool):
        return _Boolean(value)
    if isinstance(value, list):
        return [_without_booleans(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_booleans(item) for key, item in value.items()}
    return value


def _resolve_options(
    document: Mapping[str, object], name: str, workloads: Mapping[str, WorkloadRules]
) -> tuple[WorkloadOptions, list[str]]:
    """Return the options of the plan's workload, and the problems of all workloads' options."""
    options, problems = WorkloadOptions(), list[str]()
    for workload, rules in workloads.items():
        keys = _keys(rules.options)
        given = _given(document, rules.options, keys)
        try:
            validated = rules.options.model_validate(given, by_name=False, by_alias=True)
        except ValidationError as error:
            problems += sentences(error, _NESTED)
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
