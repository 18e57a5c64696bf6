"""The tables of the documentation that are generated from the code; `script/docs` writes them.

A table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from jepsenvm.campaign import spec as campaign_file
from jepsenvm.cli.json_shapes import SHAPES, Shape
from jepsenvm.nemesis.registry import FAULTS, MIXES, NEMESES
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.plan.keys import PlanKey, keys_of
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.rate import RatePiece
from jepsenvm.plan.schedule_item import ScheduleItem
from jepsenvm.rabbitmq.upgrades import STEPS
from jepsenvm.rabbitmq.versions import release_text
from jepsenvm.scenarios import library
from jepsenvm.scenarios.scenario import About, Expectation, Outcomes
from jepsenvm.workloads.registry import WORKLOADS
from tests.generated_findings import answers, findings, scenario_results, unmet_expectations

DOCS: Final = Path(__file__).resolve().parents[1] / "docs"

_BLOCK: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


def plan_keys(model: type[BaseModel] = Plan) -> str:
    """Return the keys that all workloads share."""
    return table(["key", "default", "meaning"], map(_key_row, keys_of(model)))


def schedule_keys() -> str:
    """Return the keys of a schedule item."""
    return table(["key", "default", "meaning"], map(_key_row, keys_of(ScheduleItem)))


def rate_keys() -> str:
    """Return the keys of a piece of a rate."""
    return table(["key", "default", "meaning"], map(_key_row, keys_of(RatePiece)))


def workloads() -> str:
    """Return the workloads."""
    rows = (
        [
            f"`{name}`",
            workload.about,
            workload.invalid_when,
            ", ".join(f"`{queue_type}`" for queue_type in workload.queue_types),
            ", ".join(f"`{key}` {value}" for key, value in workload.defaults.items()),
        ]
        for name, workload in WORKLOADS.items()
    )
    return table(
        ["workload", "what it does", "invalid when", "queue types", "other defaults"], rows
    )


def workload_keys() -> str:
    """Return the keys of one workload each."""
    rows = (
        [f"`{name}`", *_key_row(key)]
        for name, workload in WORKLOADS.items()
        for key in keys_of(workload.options)
    )
    return table(["workload", "key", "default", "meaning"], rows)


def nemeses() -> str:
    """Return every nemesis with the kind of fault that it draws."""
    rows = []
    for kind, fault in FAULTS.items():
        for name, spec in fault.nemeses().items():
            settings = ", ".join(
                f"`{key}` {value:g}{_bounds_text(spec, key)}"
                for key, value in spec.settings.items()
            )
            settings += ", ".join(f"`{key}` {value}" for key, value in spec.texts.items() if value)
            takes = "" if spec.takes == "nothing" else spec.takes
            rows.append(
                [f"`{name}`", f"`{kind}`", spec.about, takes, settings, str(spec.fewest_nodes)]
            )
    return table(["nemesis", "kind", "what it does", "takes", "settings", "fewest nodes"], rows)


def _bounds_text(spec: NemesisSpec, key: str) -> str:
    """Return the bounds of a setting, if it has narrower ones than all others."""
    if key not in spec.bounds:
        return ""
    least, greatest = spec.bounds[key]
    return f" ({least:.0f} to {greatest:.0f})"


def mixes() -> str:
    """Return the mixes."""
    rows = ([f"`{mix}`", spec.about] for mix in MIXES if (spec := NEMESES[mix]))
    return table(["mix", "each fault is"], rows)


def scenarios() -> str:
    """Return the library of scenarios."""
    rows = (
        [
            f"`{scenario.name}`",
            scenario.about.title,
            f"`{scenario.about.versions}`",
            "; ".join(f"`{item.versions}` {item.describe()}" for item in scenario.about.expected),
            "; ".join(scenario.about.source),
        ]
        for scenario in library.scenarios()
    )
    return table(["scenario", "what it is", "RabbitMQ", "expected", "source"], rows)


def keys_table(model: type[BaseModel]) -> str:
    """Return the keys of a part of a scenario or of a campaign."""
    return table(["key", "default", "meaning"], map(_key_row, keys_of(model)))


def upgrade_steps() -> str:
    """Return the rolling upgrades that RabbitMQ supports."""
    rows = []
    for step in STEPS:
        source, target = release_text(step.source), release_text(step.target)
        needs = ["every stable one"] if step.stable_flags else []
        needs += [f"`{flag}`" for flag in sorted(step.flags)]
        needs += [f"not `{flag}`" for flag in sorted(step.without)]
        late = f" from {source}.{step.from_patch} on" if step.from_patch else ""
        rows.append([f"{source}.x{late}", f"{target}.x", ", ".join(needs)])
    return table(["from", "to", "feature flags that must be enabled before"], rows)


def json_shapes() -> str:
    """Return what each command prints with --json."""
    commands: dict[tuple[type[Shape], bool], list[str]] = {}
    for command, shape in SHAPES.items():
        is_list = isinstance(shape, list)
        model = shape[0] if isinstance(shape, list) else shape
        commands.setdefault((model, is_list), []).append(f"`{command}`")
    parts = []
    for (model, is_list), names in commands.items():
        kind = "a list of objects" if is_list else "an object"
        rows = ([f"`{key.key}`", key.description] for key in keys_of(model))
        parts.append(f"{', '.join(names)}: {kind}\n\n{table(['key', 'meaning'], rows)}")
    return "\n" + "\n".join(parts) + "\n"


def campaign_keys() -> str:
    """Return the keys of a campaign file."""
    keys = (
        replace(key, default="- lab: default") if key.key == "machines" else key
        for key in keys_of(campaign_file.CampaignFile)
    )
    return table(["key", "default", "meaning"], map(_key_row, keys))


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "plan-keys": plan_keys,
    "rate-keys": rate_keys,
    "schedule-keys": schedule_keys,
    "workloads": workloads,
    "workload-keys": workload_keys,
    "nemeses": nemeses,
    "mixes": mixes,
    "scenarios": scenarios,
    "scenario-keys": partial(keys_table, About),
    "expectation-keys": partial(keys_table, Expectation),
    "outcome-keys": partial(keys_table, Outcomes),
    "upgrade-steps": upgrade_steps,
    "json-shapes": json_shapes,
    "campaign-keys": campaign_keys,
    "campaign-expectations": partial(keys_table, campaign_file.Expectation),
    "campaign-machines": partial(keys_table, campaign_file.Machines),
    "findings": findings,
    "findings-answers": answers,
    "findings-scenarios": scenario_results,
    "findings-unmet": unmet_expectations,
    "campaign-versions": partial(keys_table, campaign_file.VersionSource),
}


def generated(text: str) -> str:
    """Return a page with its tables as the code gives them."""
    return _BLOCK.sub(lambda block: f"{block[1]}{TABLES[block[2]]()}{block[3]}", text)


def _key_row(key: PlanKey) -> list[str]:
    meaning = key.description
    if key.choices and not all(choice in meaning for choice in key.choices):
        meaning += f" One of {', '.join(f'`{choice}`' for choice in key.choices)}."
    if key.unit and key.unit != "seconds" and key.unit not in meaning:
        meaning += f" In {key.unit}."
    return [f"`{key.key}`", f"`{key.default}`" if key.default else "required", meaning]


def main() -> None:
    """Rewrite the pages whose tables are stale."""
    assert set(NEMESES) == {"none", *MIXES, *(n for f in FAULTS.values() for n in f.nemeses())}
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = generated(text)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(f"updated {page.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
