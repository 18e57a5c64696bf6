"""What a cluster that is not ours may be done to."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment import preflight
from jepsenvm.machines import ansible
from jepsenvm.machines.ansible_vars import told
from jepsenvm.machines.inventory import Inventory
from jepsenvm.nemesis.instance import Fault

HALVES = Fault("partition", "partition-random-halves", "n1 | n2")


def others(*allowed: str) -> Inventory:
    return Inventory(
        Path("/hosts.yml"),
        "cloud",
        (),
        Path("/secrets"),
        {},
        existing=True,
        allowed_faults=frozenset(allowed),
    )


@pytest.mark.parametrize("name", ["partition", "partition-random-halves"])
def test_a_fault_is_allowed_by_its_name_or_its_kind(name: str) -> None:
    preflight.require_allowed(others("kill", name), [HALVES])


@pytest.mark.parametrize("names", [[], ["kill"], ["partition-one-way"]])
def test_any_other_is_refused_with_the_file_the_key_and_the_way_out(names: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        preflight.require_allowed(others(*names), [HALVES])
    assert str(refused.value) == (
        "/hosts.yml: allowed_faults does not allow partition-random-halves; "
        "add partition to that list if these hosts may have it, or use another nemesis"
    )


def test_a_fault_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="allowed_faults: there is no fault 'earthquake'"):
        preflight.require_allowed(others("earthquake"), [])


def test_nothing_is_ever_installed_there() -> None:
    with pytest.raises(UsageError, match=r"^/hosts\.yml: the cluster is not ours"):
        ansible.play("site.yml", others(), {})


def test_what_ansible_prints_of_several_hosts() -> None:
    text = 'n1 | SUCCESS => {\n    "changed": false,\n    "msg": {"a": "}"}\n}\nn2 | FAILED! => {\n    "msg": "why"\n}\n'
    assert told(text) == {"n1": {"changed": False, "msg": {"a": "}"}}, "n2": {"msg": "why"}}
