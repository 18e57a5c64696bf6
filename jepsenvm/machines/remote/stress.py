"""Print what the processes of stress-ng that faults have started take from this host.

{"available-mbyte": memory that the host has left, "cpu": TAKEN, "memory": TAKEN} with TAKEN =
{"processes": count, "cpu-share": seconds of CPU time per second, "resident-mbyte": memory}. A
process belongs to a fault if its cgroup names the fault's systemd unit.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

UNIT = "jepsenvm-stress-{}-"
WATCH_S = 0.5
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print the answer."""
    answer: dict[str, Any] = {"available-mbyte": available_mbyte(read(Path("/proc/meminfo")))}
    found = {way: processes(UNIT.format(way)) for way in ("cpu", "memory")}
    began = time.monotonic()
    before = {way: ticks(folders) for way, folders in found.items()}
    time.sleep(WATCH_S)
    for way, folders in found.items():
        grown = ticks(folders) - before[way]
        seconds = time.monotonic() - began
        answer[way] = {
            "processes": len(folders),
            "cpu-share": round(max(0, grown) / TICKS_PER_S / seconds, 3),
            "resident-mbyte": round(sum(map(resident, folders)) / 1e6, 1),
        }
    print(json.dumps(answer))


def processes(unit: str) -> list[Path]:
    """Return the folders in /proc of the processes of units with this beginning of a name."""
    return [
        folder for folder in Path("/proc").glob("[0-9]*") if f"/{unit}" in read(folder / "cgroup")
    ]


def ticks(folders: Iterable[Path]) -> int:
    """Return the CPU time that processes have taken, in clock ticks."""
    return sum(taken(read(folder / "stat")) for folder in folders)


def taken(stat: str) -> int:
    """Return user and system time of a /proc/PID/stat; 0 if its process has ended."""
    # The name in parentheses may contain any character, also parentheses.
    fields = stat[stat.rindex(")") + 2 :].split() if ")" in stat else []
    return int(fields[11]) + int(fields[12]) if fields else 0


def resident(folder: Path) -> int:
    """Return the bytes of memory that a process holds; 0 if it has ended."""
    fields = read(folder / "statm").split()
    return int(fields[1]) * PAGE if fields else 0


def available_mbyte(meminfo: str) -> float:
    """Return the memory that the host has left, in megabytes."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(match[1]) * 1024 / 1e6 if match else 0.0


def read(path: Path) -> str:
    """Return a file's text; an empty text if its process has ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    main()
