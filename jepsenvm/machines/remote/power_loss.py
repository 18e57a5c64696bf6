"""Write the sentinel files of a power loss to RabbitMQ's data, or print what is left of them.

With an argument, the name of the fault, write both. The first is synced before standard input ends,
and the second is written afterwards and never synced. With a second argument, the file of the
fault's marker, also lose everything on that file system that is not synced: kill RabbitMQ before
the second file is written, and shut the file system down after that. The marker gets the command
that mounts it again.

Without an argument, print {"synced": what the first file has, "unsynced": what the second has,
"own": whether the data has a file system of its own, "writable": whether a file can be created
there}. A missing file has null.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from jepsenvm.machines.remote.data_file_system import own_file_system
from jepsenvm.machines.remote.data_mount import mount_again
from jepsenvm.machines.remote.shut_down import shut_down

FOLDER = Path("/var/lib/rabbitmq")
SYNCED = FOLDER / "jepsenvm-synced"
UNSYNCED = FOLDER / "jepsenvm-unsynced"
MOST = 1000
SERVICE = "rabbitmq-server"


def main() -> None:
    """Follow the arguments."""
    arguments = sys.argv[1:]
    if not arguments:
        print(json.dumps(report()))
    elif len(arguments) == 1:
        write(arguments[0])
    else:
        lose(arguments[0], Path(arguments[1]))


def write(fault: str) -> None:
    """Write and sync the first file; write the second when standard input ends."""
    text = write_first(fault)
    sys.stdin.read()
    UNSYNCED.write_text(text)


def lose(fault: str, marker: Path) -> None:
    """Write both files, and lose everything that is not synced when standard input ends."""
    require_own_file_system()
    text = write_first(fault)
    keep(marker, mount_again() or sys.exit(f"{FOLDER} cannot be mounted again"))
    data = os.open(FOLDER, os.O_RDONLY)
    sys.stdin.read()
    # A broker that still ran would see errors that no power loss gives.
    subprocess.run(["systemctl", "kill", "--signal=SIGKILL", SERVICE], check=True)
    UNSYNCED.write_text(text)
    require_own_file_system()
    shut_down(data)


def keep(marker: Path, command: str) -> None:
    """Write the marker atomically: the healing reads it even if this process is killed."""
    draft = marker.with_suffix(".new")
    draft.write_text(command)
    draft.replace(marker)


def require_own_file_system() -> None:
    """End with an error unless nothing but RabbitMQ's data is on the file system."""
    if not own_file_system():
        sys.exit(f"{FOLDER} is no file system of RabbitMQ's data alone")


def write_first(fault: str) -> str:
    """Write and sync the first file, without a second one; return the text of both."""
    text = f"fault {fault}, {time.time_ns()}\n"
    SYNCED.unlink(missing_ok=True)
    UNSYNCED.unlink(missing_ok=True)
    SYNCED.write_text(text)
    sync(SYNCED)
    sync(FOLDER)
    return text


def report() -> dict[str, object]:
    """Return what is left of the files."""
    return {
        "synced": content(SYNCED),
        "unsynced": content(UNSYNCED),
        "own": own_file_system(),
        "writable": writable(),
    }


def content(file: Path) -> str | None:
    """Return the beginning of a file; None if it does not exist."""
    try:
        with file.open(errors="replace") as opened:
            return opened.read(MOST)
    except FileNotFoundError:
        return None


def writable() -> bool:
    """Return whether a file can be created beside the sentinels."""
    try:
        with tempfile.TemporaryFile(dir=FOLDER):
            return True
    except OSError:
        return False


def sync(path: Path) -> None:
    """Write a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
