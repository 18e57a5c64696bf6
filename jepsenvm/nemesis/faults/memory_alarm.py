"""Memory-alarm: a lowered memory watermark raises RabbitMQ's alarm, which blocks publishers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.fault import Hosts
from jepsenvm.nemesis.marker import Marker
from jepsenvm.nemesis.request import NemesisSpec
from jepsenvm.nemesis.resource_alarm import ResourceAlarm
from jepsenvm.rabbitmq.erlang import Erlang

_RESTORE_WATERMARK: Final = Erlang(
    "{ok, Limit} = application:get_env(rabbit, vm_memory_high_watermark),"
    " vm_memory_monitor:set_vm_memory_high_watermark(Limit)."
)

_WATERMARK_LOWERED: Final = Marker(
    name="memory-watermark",
    undo=f"{_RESTORE_WATERMARK.script()} >/dev/null",
    report="restored RabbitMQ's memory watermark",
)
"""Healing restores the watermark of the node's configuration."""


class MemoryAlarm(ResourceAlarm):
    """Lower the memory watermark to almost nothing."""

    kind = "memory-alarm"
    stops_load = "always"
    resource = "memory"
    settles_s = 20.0
    heals_s = 30.0
    sweep = _WATERMARK_LOWERED.sweep

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that raises the memory alarm."""
        return {
            "memory-alarm": NemesisSpec(
                about="lowers the memory watermark until RabbitMQ's memory alarm blocks publishers",
                draw=cls.on_victims,
                takes="nodes",
            )
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Lower the watermark."""
        lower = "timeout 30 rabbitmqctl --quiet set_vm_memory_high_watermark 0.00001"
        return [shell(lower, ahead=_WATERMARK_LOWERED.set())]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Restore the watermark."""
        return _WATERMARK_LOWERED.heal()
