"""A VM whose power was cut by a controller that has gone comes back; Vagrant is played by a program
of our own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

VAGRANT = """#!/bin/sh
cd {folder}
case "$*" in
  *"status --machine-readable n1") echo "0,n1,state,$(cat state)" ;;
  *"halt --force n1") echo shutoff > state ;;
  *"up --no-provision n1") echo running > state ;;
  *) exit 9 ;;
esac
"""

CONTROLLER = """
import sys, time
from jepsenvm.machines.power import power_at
power = power_at("vagrant", sys.argv[1])
power.cut("n1", 2)
print(power.is_off("n1"), flush=True)
time.sleep(600)
"""


def test_a_vm_comes_back_when_its_controller_was_killed(tmp_path: Path) -> None:
    program, state = tmp_path / "vagrant", tmp_path / "state"
    program.write_text(VAGRANT.format(folder=tmp_path), encoding="utf-8")
    program.chmod(0o755)
    state.write_text("running\n", encoding="utf-8")
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as controller:
        assert controller.stdout is not None
        assert controller.stdout.readline() == "True\n"
        controller.send_signal(signal.SIGKILL)
    until = time.monotonic() + 30
    while state.read_text(encoding="utf-8") != "running\n":
        assert time.monotonic() < until
        time.sleep(0.2)
