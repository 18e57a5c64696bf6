"""Texts of scenario files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from jepsenvm.scenarios.reading import scenario_of
from jepsenvm.scenarios.scenario import Scenario


def about(**changes: Any) -> dict[str, Any]:
    """Return the key ``scenario`` of a good file; a change to None leaves a key out."""
    content = {
        "title": "A title",
        "story": "A story.",
        "source": ["a post"],
        "versions": ">=3.8,<4.3",
        "expected": [{"versions": ">=3.8", "verdict": "valid"}],
        "outcomes": {"valid": "All is well.", "invalid": "Messages are lost."},
        **changes,
    }
    return {key: value for key, value in content.items() if value is not None}


def document(plan: str = "", **changes: Any) -> dict[str, Any]:
    """Return a scenario called ``mine`` with these keys of a plan."""
    return {"scenario": about(**changes), "name": "mine", **(yaml.safe_load(plan) or {})}


def scenario(plan: str = "", **changes: Any) -> Scenario:
    """Return the scenario of ``document``."""
    return scenario_of(document(plan, **changes), Path("mine.yml"))


def write(folder: Path, plan: str = "", **changes: Any) -> Path:
    """Write the scenario of ``document`` to ``mine.yml``; return its path."""
    path = folder / "mine.yml"
    path.write_text(yaml.safe_dump(document(plan, **changes)), encoding="utf-8")
    return path
