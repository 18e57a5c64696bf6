"""Disk-full: the free disk space falls below RabbitMQ's limit, and its alarm blocks publishers.

The fault first raises the limit to just below the free space. A small file then crosses it, so the
disk is never really full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.fault import Hosts
from jepsenvm.nemesis.marker import Marker
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.nemesis.resource_alarm import ResourceAlarm
from jepsenvm.rabbitmq.erlang import Erlang
from jepsenvm.rabbitmq.names import DATA_DIR

_BALLAST: Final = f"{DATA_DIR}/jepsenvm-ballast"

_RESTORE_LIMIT: Final = Erlang(
    "{ok, Limit} = application:get_env(rabbit, disk_free_limit),"
    " rabbit_disk_monitor:set_disk_free_limit(Limit)."
)

_LIMIT_RAISED: Final = Marker(
    name="disk-watermark",
    undo=f"rm -f {_BALLAST}\n{_RESTORE_LIMIT.script()} >/dev/null",
    report="freed the disk and restored RabbitMQ's disk limit",
)


class DiskFull(ResourceAlarm):
    """Fill the disk below RabbitMQ's limit."""

    kind = "disk-full"
    stops_load = "always"
    resource = "disk"
    settles_s = 45.0
    heals_s = 45.0
    # A reboot removes the marker and the raised limit, but not the file.
    sweep = f"{_LIMIT_RAISED.sweep}\nrm -f {_BALLAST}"

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that fills the disk."""
        return {
            "disk-full": NemesisSpec(
                about="fills the disk until RabbitMQ's disk alarm blocks publishers",
                draw=cls.on_victims,
                takes="nodes",
            )
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Raise the limit, then allocate a quarter of the free space, at most 4 GB.

        The limit is a quarter of that file below the free space. The rest of the file is a reserve,
        because RabbitMQ may free space during the fault: one write-ahead log takes half a gigabyte.
        """
        prepare = f"""{_LIMIT_RAISED.set()}
free=$(df --output=avail --block-size=1 {DATA_DIR} | tail -n 1)
fill=$((free / 4))
[ $fill -lt 4000000000 ] || fill=4000000000
timeout 30 rabbitmqctl --quiet set_disk_free_limit $((free - fill / 4))"""
        return [shell(f"fallocate --length $fill {_BALLAST}", ahead=prepare)]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Remove the file and restore the limit."""
        return _LIMIT_RAISED.heal()
