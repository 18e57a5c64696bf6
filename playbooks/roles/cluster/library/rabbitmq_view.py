#!/usr/bin/python
"""Ansible module: reads a node's view of its cluster in one round trip.

It changes nothing. The result has three keys, each of which is None without an answer:

``status``       the cluster's status, in the form of ``rabbitmqctl cluster_status``
``vhosts_down``  the virtual hosts that do not run on the node
``definitions``  the definitions, from the management API

``erl_call``, a program of Erlang, asks for the status within milliseconds. ``rabbitmqctl``, which
starts an Erlang VM, asks where ``erl_call`` is missing or gets no answer.

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
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule

RABBITMQCTL = ("rabbitmqctl", "--quiet", "cluster_status", "--formatter", "json")

QUESTION = """begin
  HasDb = code:ensure_loaded(rabbit_db_cluster) =:= {module, rabbit_db_cluster} andalso
    erlang:function_exported(rabbit_db_cluster, cli_cluster_status, 0),
  Status = case HasDb of
    true -> rabbit_db_cluster:cli_cluster_status();
    false -> rabbit_mnesia:status()
  end,
  Of = fun(Key) -> proplists:get_value(Key, Status, []) end,
  Resource = fun({resource_limit, Name, _}) -> Name; (_) -> unknown end,
  binary_to_list(base64:encode(rabbit_json:encode(#{
    running_nodes => Of(running_nodes),
    disk_nodes => lists:append([Nodes || {_, Nodes} <- Of(nodes)]),
    partitions => maps:from_list(Of(partitions)),
    alarms => lists:map(Resource, rabbit:alarms()),
    listeners => #{node() => [
      #{protocol => element(3, L)} || L <- rabbit_networking:node_listeners(node())]}})))
end.
"""
"""What ``erl_call`` asks: the part of ``rabbitmqctl cluster_status`` that is read, in its form.

The alarms and the listeners are the node's own, because every node of the cluster is asked.
"""


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
    vhosts = _answer(module.params, "/api/vhosts?columns=name,cluster_state")
    definitions = _answer(module.params, "/api/definitions")
    module.exit_json(
        changed=False,
        status=status(module.params["node"], module.params["timeout"]),
        vhosts_down=None if vhosts is None else down(vhosts, module.params["node"]),
        definitions=definitions,
    )


def down(vhosts: list[dict[str, Any]], node: str) -> list[str]:
    """Return the names of the virtual hosts that do not run on a node."""
    return [one["name"] for one in vhosts if one.get("cluster_state", {}).get(node) != "running"]


def status(node: str, timeout: float) -> Any:
    """Return the status of the cluster as a node sees it, or None without an answer."""
    try:
        answer = told(_output(*erl_call(node), timeout=timeout))
        return _json(_output(RABBITMQCTL, timeout=timeout)) if answer is None else answer
    except subprocess.TimeoutExpired:
        return None  # the other program would not get an answer in time either


def erl_call(node: str) -> tuple[Sequence[str], str, str]:
    """Return the command that asks a node, its input and its home, where the cookie is."""
    kind = "-name" if "." in node.partition("@")[2] else "-sname"
    home = os.path.expanduser("~rabbitmq")  # noqa: PTH111 - Path.expanduser needs such a user
    return ["erl_call", kind, node, "-e"], QUESTION, home


def told(output: bytes) -> Any:
    """Return the value in the output of ``erl_call``, such as ``{ok, "e30="}``, or None."""
    prefix, _, rest = output.partition(b'"')
    if prefix != b"{ok, ":
        return None
    try:
        return _json(base64.b64decode(rest.partition(b'"')[0], validate=True))
    except ValueError:
        return None


def _output(
    command: Sequence[str], text: str = "", home: str | None = None, *, timeout: float
) -> bytes:
    """Return the output of a command; nothing if it fails or is missing.

    Raise TimeoutExpired after ``timeout`` seconds; the command has ended then.
    """
    environment = os.environ | ({} if home is None else {"HOME": home})
    try:
        # A session of its own, so that the processes that it starts end with it.
        running = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except OSError:
        return b""
    try:
        output, _ = running.communicate(text.encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        raise
    return output if running.returncode == 0 else b""


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
