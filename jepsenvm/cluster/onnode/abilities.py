"""Say which kinds of fault this node can make; each is tried on a link of its own, which is then removed."""

import json
import subprocess

LINK = "jepsenvmprobe"


def works(*command: str) -> bool:
    """Return whether a command succeeds here."""
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


able = {
    "iptables": works("iptables", "-w", "-S"),
    "ip6tables": works("ip6tables", "-w", "-S"),
    "systemd-run": works("systemd-run", "--version"),
}
if works("ip", "link", "add", LINK, "type", "dummy"):
    able["netem"] = works("tc", "qdisc", "add", "dev", LINK, "root", "netem", "delay", "1ms")
    works("ip", "link", "del", LINK)
else:
    able["netem"] = False
print(json.dumps(able))
