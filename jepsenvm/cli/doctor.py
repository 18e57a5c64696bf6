"""`jepsenvm doctor`: checks this machine and the hosts, and prints a remedy for each problem."""

from __future__ import annotations

from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import DoctorShape, FindingShape
from jepsenvm.errors import printable_line
from jepsenvm.experiment.doctor import Finding, host_findings, machine_findings
from jepsenvm.machines.providers import PROVIDERS

UNSUITABLE_STATUS = 254


@click.command("doctor")
@options.inventory
@options.existing
@as_json
@click.pass_context
def command(
    context: click.Context, inventory_path: Path | None, *, existing: bool, as_json: bool
) -> None:
    """Check what this machine and the hosts support, with remedies.

    Each line begins with ok, FAIL (a requirement is not met) or none (an optional feature is not
    available). The exit status is 254 if any requirement is not met.
    """
    findings = list(machine_findings())
    if inventory_path or any(provider.exists() for provider in PROVIDERS):
        inventory = inventory_for(inventory_path, existing=existing, may_be_off=True)
        findings += host_findings(inventory)
    suitable = not any(finding.fails for finding in findings)
    if as_json:
        print_json(DoctorShape(suitable=suitable, findings=list(map(_shape, findings))))
    else:
        for finding in findings:
            click.echo(printable_line(_line(finding)))
    context.exit(0 if suitable else UNSUITABLE_STATUS)


def _shape(finding: Finding) -> FindingShape:
    return FindingShape(subject=finding.subject, problem=finding.problem, required=finding.required)


def _line(finding: Finding) -> str:
    if finding.problem is None:
        return f"ok    {finding.subject}"
    mark = "FAIL" if finding.required else "none"
    return f"{mark}  {finding.subject}: {finding.problem}"
