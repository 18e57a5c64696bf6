"""Report the version of RabbitMQ on this host, and how far an upgrade of it is.

Prints {"package": version, "running": version, "phase": text, "error": text, "drained": bool}. The
package is empty if RabbitMQ was not installed from one. The running version is that of the broker;
it is empty if the broker does not answer. The other keys are about an upgrade that jepsenvm has
begun; without one, the texts are empty.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from jepsenvm.machines.remote.installed_package import installed_package

UPGRADE = Path("/opt/jepsenvm/upgrade")

ASK_S = 12


def main() -> None:
    """Print the versions."""
    print(
        json.dumps(
            {
                "package": installed_package(),
                "running": running(),
                "phase": text(UPGRADE / "phase"),
                "error": text(UPGRADE / "error")[:300],
                "drained": (UPGRADE / "drained").exists(),
            }
        )
    )


def running() -> str:
    """Return the version of the running broker; an empty text if it does not answer."""
    try:
        answer = subprocess.run(
            ("rabbitmqctl", "--quiet", "eval", "rabbit_misc:version()."),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=ASK_S,
            check=True,
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.search(r'^"?([0-9]+[.][0-9]+[^"\s]*)"?$', answer, re.MULTILINE)
    return match.group(1) if match else ""


def text(path: Path) -> str:
    """Return the first line of a file; an empty text without such a file."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[0].strip() if lines else ""


if __name__ == "__main__":
    main()
