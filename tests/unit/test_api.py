"""The public API: its names, which are imported lazily, are enough to check a history."""

from __future__ import annotations

import subprocess
import sys

import pytest

import jepsenvm
from jepsenvm import Op, Verdict, check, from_ops, total_queue


def test_every_public_name_is_there() -> None:
    assert all(getattr(jepsenvm, name) is not None for name in jepsenvm.__all__)
    assert len(jepsenvm.__all__) <= 15
    assert set(jepsenvm.__all__) <= set(dir(jepsenvm))


def test_the_version_is_that_of_the_package() -> None:
    assert jepsenvm.__version__[0].isdigit()


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'jepsenvm' has no attribute 'no_such_name'"):
        _ = jepsenvm.no_such_name  # type: ignore[attr-defined]  # that is the point


def test_the_package_itself_imports_no_other_module() -> None:
    code = "import jepsenvm, sys; print(*(m for m in sys.modules if m.startswith('jepsenvm')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["jepsenvm"]


def test_a_history_is_judged_with_the_public_names_alone() -> None:
    history = from_ops([Op("invoke", "enqueue", 1), Op("ok", "enqueue", 1)])
    assert check(history, {"total-queue": total_queue}).verdict is Verdict.INVALID
