#!/usr/bin/python
"""Ansible module: reads a node's view of its cluster in one round trip.

It changes nothing. The result has three keys, each of which is None without an answer:

``status``       what ``rabbitmqctl cluster_status`` reports
``vhosts_down``  the virtual hosts that do not run on the node
``definitions``  the definitions, from the management API

An answer of the management API proves three things at once: the management plugin is enabled, the
user exists and its password is correct.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule

STATUS = ("rabbitmqctl", "--quiet", "cluster_status", "--formatter", "json")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    # rabbitmqctl takes longer than the management API, so it starts first.
    status = _Status(module.params["timeout"])
    vhosts = _answer(module.params, "/api/vhosts?columns=name,cluster_state")
    definitions = _answer(module.params, "/api/definitions")
    module.exit_json(
        changed=False,
        status=status.answer(),
        vhosts_down=None if vhosts is None else down(vhosts, module.params["node"]),
        definitions=definitions,
    )


def down(vhosts: list[dict[str, Any]], node: str) -> list[str]:
    """Return the names of the virtual hosts that do not run on a node."""
    return [one["name"] for one in vhosts if one.get("cluster_state", {}).get(node) != "running"]


class _Status:
    """``rabbitmqctl cluster_status`` as it runs."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        # A session of its own, so that the processes that it starts end with it.
        self._command = subprocess.Popen(
            STATUS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def answer(self) -> Any:
        """Wait until it ends; return its answer, or None without one."""
        try:
            output, _ = self._command.communicate(timeout=self._timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self._command.pid, signal.SIGKILL)
            self._command.wait()
            return None
        return _json(output) if self._command.returncode == 0 else None


def _answer(parameters: dict[str, Any], path: str) -> Any:
    login = f"{parameters['user']}:{parameters['password']}".encode()
    request = urllib.request.Request(  # noqa: S310 - the URL is the node's own, as the role has it
        parameters["url"] + path,
        headers={"Authorization": "Basic " + base64.b64encode(login).decode()},
    )
    # A proxy of this host's environment would not reach its loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=parameters["timeout"]) as response:
            return _json(response.read())
    except (OSError, http.client.HTTPException):
        return None


def _json(text: bytes) -> Any:
    try:
        return json.loads(text.decode())
    except ValueError:
        return None


if __name__ == "__main__":
    main()
