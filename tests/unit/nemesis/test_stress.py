"""Stress of the CPU and of the memory: the commands, and what proves that stress-ng takes them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.registry import FAULTS, stages
from jepsenvm.nemesis.request import FaultRequest
from tests.unit.nemesis.builders import active_problems, healed, healed_problems, injected

NODES = ("n1", "n2")


def drawn(name: str, **settings: float) -> Fault:
    given = {key.replace("_", "-"): value for key, value in settings.items()}
    (stage,) = stages(name, FaultRequest(NODES, Random(1), victims=("n1",), settings=given))
    return stage.fault


def load(
    *, cpu: float = 0.0, memory: float = 0.0, processes: int = 2, available: float = 4000
) -> dict[str, Any]:
    """Return what stress-ng takes from n1, with these processes for either way of stress."""
    taken = {"processes": processes, "cpu-share": cpu, "resident-mbyte": memory}
    return {"stress": {"n1": {"available-mbyte": available, "cpu": taken, "memory": taken}}}


NONE = load(processes=0)
SILENT = {"stress": {"n1": None}}
CPU, MEMORY = drawn("stress-cpu"), drawn("stress-memory")


def ran(folder: Path, action_of: Fault) -> list[str]:
    """Run the injection of a fault on a host with 1,000,000 kB available, with stubs.

    Return the arguments of systemd-run.
    """
    log = folder / "log"
    (folder / "systemd-run").write_text(f'#!/bin/sh\necho "$*" > {log}\n')
    (folder / "awk").write_text("#!/bin/sh\necho 1000000\n")
    for stub in ("systemd-run", "awk"):
        (folder / stub).chmod(0o755)
    (action,) = injected(action_of, "n1")
    subprocess.run(
        action.argv,
        input=action.stdin,
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return log.read_text().split()


@pytest.mark.parametrize(
    ("fault", "unit", "options"),
    [
        (CPU, "jepsenvm-stress-cpu-3", ["--cpu", "1"]),
        (drawn("stress-cpu", workers=4), "jepsenvm-stress-cpu-3", ["--cpu", "4"]),
        (MEMORY, "jepsenvm-stress-memory-3", ["--vm-bytes", "100000k"]),
        (
            drawn("stress-memory", memory_mbyte=64),
            "jepsenvm-stress-memory-3",
            ["--vm-bytes", "62500k"],
        ),
    ],
)
def test_stress_ng_runs_in_a_unit_of_its_own(
    tmp_path: Path, fault: Fault, unit: str, options: list[str]
) -> None:
    words = ran(tmp_path, fault)
    assert f"--unit={unit}" in words
    assert words[-2:] == options
    assert "stress-ng" in words
    assert f"systemctl stop {unit} " in healed(fault, "n1")[0].stdin


def test_a_host_keeps_a_tenth_of_its_available_memory(tmp_path: Path) -> None:
    assert ran(tmp_path, drawn("stress-memory", memory_mbyte=900))
    with pytest.raises(subprocess.CalledProcessError) as refused:
        ran(tmp_path, drawn("stress-memory", memory_mbyte=930))
    assert refused.value.stderr == (
        "908203 kB are more than 90% of the 1000000 kB of memory available\n"
    )


def test_the_available_memory_is_read_from_the_kernel() -> None:
    (action,) = injected(MEMORY, "n1")
    (line,) = [one for one in action.argv[2].splitlines() if one.startswith("available=")]
    script = line.replace("/proc/meminfo", "-") + "\necho $available"
    meminfo = "MemTotal: 9999 kB\nMemAvailable:    1001 kB\nMemFree: 7 kB\n"
    done = subprocess.run(
        ["/bin/sh", "-c", script], input=meminfo, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1001\n"


def test_a_sweep_stops_every_unit_and_says_so(tmp_path: Path) -> None:
    units = "jepsenvm-stress-cpu-1.service loaded active running x"
    (tmp_path / "systemctl").write_text(
        f'#!/bin/sh\n[ $1 = stop ] && echo "stop $2" >> {tmp_path}/log || echo "{units}"\n'
    )
    (tmp_path / "systemctl").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-ec", FAULTS["stress"].sweep],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "stopped jepsenvm-stress-cpu-1.service\n"
    assert (tmp_path / "log").read_text() == "stop jepsenvm-stress-cpu-1.service\n"


def test_growing_cpu_time_and_held_memory_prove_it() -> None:
    assert active_problems(CPU, NONE, load(cpu=0.4)) == []
    assert active_problems(MEMORY, NONE, load(memory=390)) == []
    assert active_problems(drawn("stress-memory", memory_mbyte=64), NONE, load(memory=60)) == []


@pytest.mark.parametrize(
    ("fault", "during"),
    [
        (CPU, load(cpu=0.0)),
        (CPU, load(cpu=0.04)),
        (MEMORY, load(memory=3)),
        (MEMORY, load(memory=190)),
        (drawn("stress-memory", memory_mbyte=1000), load(memory=390)),
        (CPU, NONE),
        (MEMORY, NONE),
        (CPU, SILENT),
        (MEMORY, SILENT),
    ],
)
def test_processes_that_take_little_prove_nothing(fault: Fault, during: dict[str, Any]) -> None:
    assert len(active_problems(fault, NONE, during)) == 1


@pytest.mark.parametrize("fault", [CPU, MEMORY])
def test_stress_from_before_proves_nothing(fault: Fault) -> None:
    busy = load(cpu=1, memory=900)
    assert active_problems(fault, busy, busy) == ["stress-ng ran on n1 before the fault"]
    assert active_problems(fault, SILENT, busy)


@pytest.mark.parametrize("fault", [CPU, MEMORY])
def test_no_process_is_left_after_healing(fault: Fault) -> None:
    assert healed_problems(fault, NONE, NONE) == []
    assert healed_problems(fault, NONE, load()) == ["stress-ng still runs on n1"]
    assert healed_problems(fault, NONE, SILENT)


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("stress-cpu", {"workers": 0.0}, "workers must be from 1 to 1024, not 0"),
        ("stress-cpu", {"workers": 2000.0}, "workers must be from 1 to 1024, not 2000"),
        ("stress-memory", {"memory-percent": 95.0}, "memory-percent must be from 1 to 90, not 95"),
        ("stress-memory", {"memory-mbyte": -1.0}, "memory-mbyte must be from 0 to 1e[+]06, not -1"),
    ],
)
def test_limits_are_checked(name: str, settings: dict[str, float], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        stages(name, FaultRequest(NODES, Random(1), settings=settings))
