"""Full disk: RabbitMQ's disk fills below its watermark, so that its alarm blocks every publisher.

The watermark is first moved to just below what is free: a small file then crosses it, and the host is never full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import alarm
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import Hosts, Kind
from jepsenvm.nemesis.undo import Undo

_FOLDER: Final = "/var/lib/rabbitmq"
_BALLAST: Final = f"{_FOLDER}/jepsenvm-ballast"

_FREE: Final = Undo(
    "disk-watermark",
    f"""rm -f {_BALLAST}
timeout 30 rabbitmqctl --quiet eval '{{ok, Limit}} = application:get_env(rabbit, disk_free_limit), \
rabbit_disk_monitor:set_disk_free_limit(Limit).' >/dev/null""",
    "freed the disk and put its watermark back",
)


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Fill a quarter of what is free, 4 GB at most, and before it move the watermark to a quarter of that below.

    The rest of it is for what the broker frees by itself meanwhile: one write-ahead log is half a gigabyte.
    """
    if node not in fault.nodes:
        return []
    ahead = f"""{_FREE.mark()}
free=$(df --output=avail --block-size=1 {_FOLDER} | tail -n 1)
fill=$((free / 4))
[ $fill -lt 4000000000 ] || fill=4000000000
timeout 30 rabbitmqctl --quiet set_disk_free_limit $((free - fill / 4))"""
    return [shell(f"fallocate --length $fill {_BALLAST}", ahead=ahead)]


# A reboot takes the marker and the moved watermark with it, and leaves the file.
_SWEEP: Final = f"{_FREE.sweep}\nrm -f {_BALLAST}"

KIND = Kind(
    inject,
    _FREE.heal,
    alarm.looks,
    alarm.doubts("disk"),
    alarm.leftovers("disk"),
    sweep=_SWEEP,
    settles_s=45.0,
    heals_s=45.0,
    stops_load=True,
)
