"""The folder of a run: who can read it."""

from __future__ import annotations

from pathlib import Path

from jepsenvm.experiment.store import PLAN, create
from jepsenvm.plan.plan import Plan


def test_only_the_owner_can_read_the_plan_also_after_it_was_fitted(tmp_path: Path) -> None:
    plan = Plan(name="a")
    store = create(tmp_path, plan)
    assert (store.path / PLAN).stat().st_mode & 0o77 == 0
    fitted = plan.model_copy(update={"rate": 7})
    store.write_plan(fitted)
    assert (store.path / PLAN).stat().st_mode & 0o77 == 0
    assert (store.path / PLAN).read_text() == fitted.to_yaml()
    assert [file.name for file in store.path.iterdir()] == [PLAN]
