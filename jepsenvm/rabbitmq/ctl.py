"""The settings, policies, feature flags and virtual hosts of brokers; their start and stop.

Each function asks one node over SSH. It raises CommandError if the node's broker does not answer,
UnreachableError if the node does not, and RunError for an answer that is not understood.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jepsenvm.errors import JepsenvmError, RunError, UsageError, shown
from jepsenvm.rabbitmq.erlang import Atom, Erlang
from jepsenvm.rabbitmq.feature_flags import FeatureFlag
from jepsenvm.rabbitmq.names import SERVICE
from jepsenvm.rabbitmq.questions import ask, decoded_name, not_understood, understood

if TYPE_CHECKING:  # paramiko takes long to import, and a check of a history needs no SSH
    from jepsenvm.machines.ssh import Fleet

_SETTINGS: Final = Erlang("""#{
  version => list_to_binary(rabbit_misc:version()),
  handling => case application:get_env(rabbit, cluster_partition_handling, none) of
    Handling when is_atom(Handling) -> Handling;
    Handling -> element(1, Handling)
  end,
  ticktime => case net_kernel:get_net_ticktime() of
    Seconds when is_integer(Seconds) -> Seconds;
    {_, Seconds} -> Seconds
  end
}""")
"""A change of net_ticktime takes a while. Meanwhile a node tells the new value in a tuple."""

# The module came with the maintenance mode. Versions that always have the mode may have dropped the
# feature flag, so that it is not listed at all.
_HAS_MAINTENANCE_MODE: Final = Erlang(
    "[code:ensure_loaded(rabbit_maintenance) =:= {module, rabbit_maintenance} andalso "
    "not maps:is_key(maintenance_mode_status, rabbit_feature_flags:list(disabled))]"
)

_VHOSTS: Final = Erlang("[base64:encode(Name) || Name <- rabbit_vhost:list_names()]")

_WHAT_SETTINGS: Final = "the settings"

_ARGUMENT: Final = re.compile(r"[^\x00-\x1f\x7f$`\\]*[$]?")
"""An argument that no shell interprets.

Debian's ``rabbitmqctl`` gives its arguments to a second shell within double quotes. A ``$`` at the
end means nothing there.
"""

STOP_TIMEOUT_S: Final = 60.0

FEATURE_FLAG_TIMEOUT_S: Final = 300.0
"""khepri_db copies all metadata into another store."""


@dataclass(frozen=True)
class Settings:
    """The version of a running node, and those of its settings that a plan decides."""

    version: str
    partition_handling: str
    net_ticktime: int


def settings(fleet: Fleet, node: str, timeout: float = 60) -> Settings:
    """Return the settings in force on a running node, which may differ from its files.

    Raise RunError for an answer that is not understood.
    """
    told = ask(fleet, node, _SETTINGS, _WHAT_SETTINGS, timeout=timeout)
    with understood(node, _WHAT_SETTINGS):
        return Settings(str(told["version"]), str(told["handling"]), int(told["ticktime"]))


def has_maintenance_mode(fleet: Fleet, node: str, timeout: float = 60) -> bool:
    """Return whether a running node can be drained; raise RunError for an unknown answer."""
    what = "the state of the maintenance mode"
    answer = ask(fleet, node, _HAS_MAINTENANCE_MODE, what, timeout=timeout)
    if answer not in ([True], [False]):
        raise not_understood(node, what, str(answer))
    return bool(answer[0])


def set_policy(
    fleet: Fleet, node: str, name: str, pattern: str, definition: Mapping[str, Any]
) -> None:
    """Set a policy for queues. It takes precedence over the policies of the deployment."""
    options = ["-p", fleet.nodes[node].vhost, "--priority", "1", "--apply-to", "queues"]
    _ctl(fleet, node, "set_policy", *options, name, pattern, json.dumps(definition), timeout=60)


def feature_flags(fleet: Fleet, node: str) -> dict[str, str]:
    """Return the feature flags that a node knows: name -> state, such as ``disabled``."""
    listed = _ctl_json(fleet, node, "list_feature_flags", "name", "state", timeout=60)
    with understood(node, "the feature flags"):
        return {str(entry["name"]): str(entry["state"]).lower() for entry in listed}


def graded_feature_flags(fleet: Fleet, node: str, timeout: float = 60) -> dict[str, FeatureFlag]:
    """Return the feature flags that a node knows, with their stability."""
    words = ["list_feature_flags", "name", "state", "stability"]
    listed = _ctl_json(fleet, node, *words, timeout=timeout)
    with understood(node, "the feature flags"):
        return {
            str(entry["name"]): FeatureFlag(
                str(entry["state"]).lower(), str(entry["stability"]).lower()
            )
            for entry in listed
        }


def enable_feature_flag(fleet: Fleet, node: str, flag: str) -> None:
    """Enable a feature flag on the whole cluster; raise RunError if the broker refuses."""
    # `rabbitmqctl enable_feature_flag` asks for another option in each series to enable an
    # experimental flag, such as khepri_db.
    enable = Erlang("rabbit_feature_flags:enable($flag).", flag=Atom(flag))
    answer = _eval(fleet, node, enable, timeout=FEATURE_FLAG_TIMEOUT_S).strip()
    if answer != "ok":
        raise RunError(
            f"RabbitMQ did not enable the feature flag {flag}: {shown(answer)}", node=node
        )


def make_vhost(fleet: Fleet, node: str, user: str) -> bool:
    """Create the run's virtual host with full permissions for a user; return whether it is new.

    An existing virtual host keeps its permissions.
    """
    vhost = fleet.nodes[node].vhost
    what = "the virtual hosts"
    existing = ask(fleet, node, _VHOSTS, what)
    with understood(node, what):
        names = [decoded_name(name) for name in existing]
    if vhost in names:
        return False
    _ctl(fleet, node, "add_vhost", vhost, timeout=60)
    try:
        _ctl(fleet, node, "set_permissions", "-p", vhost, user, ".*", ".*", ".*", timeout=60)
    except JepsenvmError:
        delete_vhost(fleet, node)
        raise
    return True


def delete_vhost(fleet: Fleet, node: str) -> None:
    """Delete the run's virtual host with its queues."""
    _ctl(fleet, node, "delete_vhost", fleet.nodes[node].vhost, timeout=60)


def stop(fleet: Fleet, node: str, timeout: float = STOP_TIMEOUT_S) -> None:
    """Stop a node's broker: cleanly within ``timeout`` seconds, otherwise with SIGKILL."""
    clean_s = timeout * fleet.patience
    fleet.run(
        node,
        f"timeout {clean_s:.0f} systemctl stop {SERVICE}"
        f" || systemctl kill --signal=SIGKILL {SERVICE}; "
        f"systemctl reset-failed {SERVICE} 2>/dev/null; true",
        timeout=timeout + 30,
    )


def start(fleet: Fleet, node: str) -> None:
    """Start a node's broker without waiting for it."""
    fleet.run(node, f"systemctl start --no-block {SERVICE}")


def _eval(fleet: Fleet, node: str, expression: Erlang, *, timeout: float) -> str:
    return _ctl(fleet, node, "eval", expression.code, timeout=timeout)


def _ctl(fleet: Fleet, node: str, *words: str, timeout: float) -> str:
    for word in words:
        if not _ARGUMENT.fullmatch(word):
            raise UsageError(
                f"rabbitmqctl cannot take {shown(word)} safely",
                node=node,
                remedy="use names without backslashes, backquotes, dollar and control characters",
            )
    command = shlex.join(["rabbitmqctl", "--quiet", *words])
    return fleet.run(node, command, timeout=timeout).stdout


def _ctl_json(fleet: Fleet, node: str, *words: str, timeout: float) -> Any:
    answer = _ctl(fleet, node, *words, "--formatter", "json", timeout=timeout)
    with understood(node, words[0]):
        return json.loads(answer)
