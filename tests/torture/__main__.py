"""Torture jepsenvm on a lab: kill its controller at random moments, and disturb runs otherwise.

    python -m tests.torture [--kills N] [--seed N] [--nemesis NAME]... [--scenario NAME]...

The exit status is 1 if a node was not healed, a rule of the user's own was removed, more than 0.25
seconds of a history are missing, `jepsenvm resume` gave no verdict, or a scenario failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from jepsenvm.machines import lab
from tests.lab.conftest import jepsenvm
from tests.torture.hosts import users_rule
from tests.torture.kills import Kill, kills, nemeses
from tests.torture.scenarios import SCENARIOS, run_scenarios


def main() -> int:
    """Run the torture; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="script/torture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=50, help="[default: 50]")
    parser.add_argument("--seed", type=int, default=1, help="[default: 1]")
    parser.add_argument(
        "--nemesis", action="append", choices=nemeses(), help="[default: all; repeatable]"
    )
    parser.add_argument(
        "--scenario", action="append", choices=[*SCENARIOS, "none"], help="[default: all]"
    )
    arguments = parser.parse_args()
    lab.up()
    jepsenvm("deploy", "--net-ticktime", "8", expect=0, timeout=1200)
    failures = 0
    store = Path(tempfile.mkdtemp(prefix="torture-", dir="/var/tmp"))
    with users_rule():
        results = []
        for result in kills(arguments.kills, arguments.seed, arguments.nemesis or nemeses(), store):
            print(result.line(), flush=True)
            results.append(result)
        failures += _summary(results)
        scenarios = [name for name in arguments.scenario or SCENARIOS if name in SCENARIOS]
        for name, text, passed in run_scenarios(scenarios, store):
            print(f"{name}: {'as it must be' if passed else 'FAILED'}: {text}", flush=True)
            failures += not passed
    print(f"runs are in {store}")
    return 1 if failures else 0


def _summary(results: list[Kill]) -> int:
    """Print the figures of all kills; return how many kills had a problem."""
    healed = [result.healed_s for result in results if result.healed_s is not None]
    missing = [result.missing_s for result in results if result.missing_s is not None]
    begun = [result for result in results if result.begun]
    judged = [result for result in begun if result.judged]
    intact = [result for result in results if not result.without_users_rule]
    problems = [result for result in results if list(result.problems())]
    print(f"kills: {len(results)}, {len(begun)} of them after the load began")
    print(f"all nodes healed: {len(healed)}, the last after {max(healed, default=0):.0f} s")
    print(f"user's rule intact: {len(intact)}")
    print(f"most history missing: {max(missing, default=0):.3f} s, measured {len(missing)} times")
    print(f"verdicts by `jepsenvm resume`: {len(judged)} of {len(begun)}")
    print(f"kills with a problem: {len(problems)}")
    return len(problems)


if __name__ == "__main__":
    sys.exit(main())
