"""Print this host's addresses, its reference clock and the programs that it lacks, as JSON.

``clock-moved`` tells whether a clock fault is in force, so that the wall clock is another one.
"""

import json
import shutil
import subprocess

from jepsenvm.machines.remote.reference_clock import MOVED, wall

addresses = []
for link in json.loads(
    subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout
):
    if "LOOPBACK" not in link.get("flags", []):
        addresses += [
            {"address": info["local"], "scope": info["scope"]}
            for info in link.get("addr_info", [])
            if info.get("family") in ("inet", "inet6") and "local" in info
        ]
programs = ["iptables", "iptables-restore", "ip6tables", "systemd-run", "rabbitmqctl"]
print(
    json.dumps(
        {
            "addresses": addresses,
            "clock-moved": MOVED.exists(),
            "clock": wall(),
            "missing": [name for name in programs if not shutil.which(name)],
        }
    )
)
