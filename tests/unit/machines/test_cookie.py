"""The playbook refuses a host of a cluster that another inventory deployed. Ansible runs it here."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from jepsenvm.machines.ansible import playbooks


def play(folder: Path) -> subprocess.CompletedProcess[str]:
    paths = {"rabbitmq_marker": str(folder / "marker"), "rabbitmq_secrets_dir": str(folder / "s")}
    tasks = [
        {"ansible.builtin.include_role": {"name": "rabbitmq", "tasks_from": name}, "vars": paths}
        for name in ("inspect", "cookie")
    ]
    plays = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    file = folder / "play.yml"
    file.write_text(yaml.safe_dump(plays))
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    environment = {**os.environ, "ANSIBLE_ROLES_PATH": str(playbooks() / "roles")}
    return subprocess.run(
        [ansible, str(file)], check=False, capture_output=True, text=True, env=environment
    )


def test_a_cluster_with_another_cookie_is_refused(tmp_path: Path) -> None:
    assert play(tmp_path).returncode == 0, "a host without a cluster"
    own = hashlib.sha256((tmp_path / "s/erlang_cookie").read_text().strip().encode()).hexdigest()
    marker = tmp_path / "marker"
    marker.write_text(json.dumps({"cookie": own, "nodes": ["n1"]}) + "\n")
    assert play(tmp_path).returncode == 0, "a second deployment"
    marker.write_text(json.dumps({"cookie": "0" * 64, "nodes": ["n1"]}) + "\n")
    refused = play(tmp_path)
    assert refused.returncode == 2
    assert "belongs to a cluster with another Erlang cookie" in refused.stdout
    assert f"copy its secrets to {tmp_path}/s," in refused.stdout
    assert "`jepsenvm deploy --reset`" in refused.stdout
