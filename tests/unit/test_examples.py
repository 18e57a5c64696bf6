"""The inventories and examples that users copy."""

from __future__ import annotations

import re
from pathlib import Path

import hcl2
import yaml

from jepsenvm.campaign.machines_check import require_possible
from jepsenvm.campaign.reading import expanded, read_campaign
from jepsenvm.cli.campaign import group
from jepsenvm.machines.inventory import load
from jepsenvm.rabbitmq.names import GROUP

TOP = Path(__file__).resolve().parents[2]
TERRAFORM = TOP / "examples/terraform/main.tf"


def test_the_example_of_an_inventory_is_one() -> None:
    three = load(TOP / "inventory/cloud.example.yml", GROUP)
    assert (three.nodes[0].ssh_host, three.nodes[0].cluster_address) == (
        "198.51.100.11",
        "192.0.2.11",
    )
    assert not three.existing
    assert three.allowed_faults is None


def test_what_it_mentions_in_comments_is_read_as_well(tmp_path: Path) -> None:
    text = (TOP / "inventory/cloud.example.yml").read_text()
    file = tmp_path / "hosts.yml"
    text = re.sub(r"^( +)#   (\w+: [^#\n]*)", r"\1\2", text, flags=re.MULTILINE)
    file.write_text(re.sub(r"\bvaulted\w*", "'x'", text))
    three = load(file, GROUP)
    assert three.existing
    assert three.allowed_faults == frozenset({"partition", "loss", "kill"})
    assert three.vars["jepsenvm_broker_password"] == "x"
    assert three.nodes[0].ssh_args == ("-o", "StrictHostKeyChecking=accept-new")


def test_the_campaign_expands_and_its_workflow_runs_it() -> None:
    file = TOP / "examples/campaigns/nightly.yml"
    campaign = read_campaign(file)
    found = expanded(campaign, file)
    require_possible(found.runs, campaign.machines, campaign.versions, str(file))
    versions = {"3.8.9", "3.10.8", "4.0.5", "4.3.6"}
    assert {run.cluster.version for run in found.runs} == versions
    workflow = yaml.safe_load((TOP / "examples/campaigns/github-workflow.yml").read_text())
    assert TOP / workflow["env"]["CAMPAIGN"] == file
    commands = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    words = re.findall(r"jepsenvm campaign (\w+)|(--[a-z]+)", "\n".join(commands))
    used = {name for name, _ in words if name}
    assert used == {"plan", "run", "report"}
    known = {
        option
        for name in used
        for parameter in group.commands[name].params
        for option in parameter.opts
    }
    lines = [line for line in "\n".join(commands).splitlines() if "jepsenvm campaign" in line]
    assert set(re.findall(r"--[a-z]+", "\n".join(lines))) <= known


def test_the_terraform_example_parses_and_refers_to_nothing_that_it_has_not() -> None:
    text = TERRAFORM.read_text()
    with TERRAFORM.open(encoding="utf-8") as file:
        tree = hcl2.load(file)
    names = [
        (kind.strip('"'), name.strip('"'))
        for one in tree["resource"]
        for kind, of in one.items()
        for name in of
    ]
    used = set(re.findall(r"\b(hcloud_\w+)\.(\w+)", text))
    assert used <= set(names)
    variables = {name.strip('"') for one in tree["variable"] for name in one}
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables
