"""requirements.lock pins every dependency, and pyproject.toml declares every imported package."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME: list[str] = PROJECT["dependencies"]
TEST: list[str] = PROJECT["optional-dependencies"]["test"]
OPTIONAL: list[str] = [
    requirement
    for extra in ("distributed", "serve")
    for requirement in PROJECT["optional-dependencies"][extra]
]
LOCK = (ROOT / "requirements.lock").read_text().splitlines()

PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==[A-Za-z0-9.+!]+( *; *[^;@]+)?")

# jepsenvm runs ansible-playbook; it does not import Ansible.
RUN_AS_PROGRAMS = {"ansible-core"}


def normalized(requirement: str) -> str:
    """Return the name in a requirement as package indexes compare it (PEP 503)."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def imported_distributions(*folders: str) -> set[str]:
    """Return the names of the distributions that the Python files below the folders import."""
    modules: set[str] = set()
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    modules.update(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    modules.add(node.module.partition(".")[0])
    modules -= sys.stdlib_module_names | {"jepsenvm", "tests", "benchmarks"}
    distributions = packages_distributions()
    return {normalized(name) for module in modules for name in distributions.get(module, [module])}


@pytest.mark.parametrize("requirement", RUNTIME + TEST)
def test_every_dependency_is_pinned(requirement: str) -> None:
    pinned = {normalized(line) for line in LOCK if PIN.fullmatch(line)}
    assert normalized(requirement) in pinned


def test_the_lock_has_only_pins_and_comments() -> None:
    others = [line for line in LOCK if line and not line.startswith("#")]
    assert others
    assert [line for line in others if not PIN.fullmatch(line)] == []
    assert not any("://" in line for line in LOCK)


def test_each_package_is_pinned_once_without_a_marker() -> None:
    names = [normalized(line) for line in LOCK if PIN.fullmatch(line) and ";" not in line]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example.org/simple",
        "-e .",
        "pika @ file:///home/me/pika",
        "pika>=1.3",
        "https://packages.example.org/pika-1.3.2-py3-none-any.whl",
    ],
)
def test_a_host_a_path_or_a_range_is_no_pin(line: str) -> None:
    assert not PIN.fullmatch(line)


def test_a_pin_may_have_a_marker() -> None:
    assert PIN.fullmatch('tomli==2.0.1 ; python_version < "3.11"')
    assert PIN.fullmatch('tomli==2.0.1; python_version < "3.11"')


def test_the_runtime_dependencies_are_those_that_jepsenvm_imports_or_runs() -> None:
    declared = {normalized(requirement) for requirement in [*RUNTIME, *OPTIONAL]}
    assert imported_distributions("jepsenvm") | RUN_AS_PROGRAMS == declared


def test_the_tests_import_declared_dependencies_only() -> None:
    declared = {normalized(requirement) for requirement in RUNTIME + TEST}
    assert imported_distributions("tests", "benchmarks") - declared == set()
