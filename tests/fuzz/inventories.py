"""The kind ``inventory``: what ``ansible-inventory`` lists, and the variables of hosts, changed.

Ansible takes half a second for each inventory, so its programs are replaced: ``ansible-inventory``
prints a changed listing, and the others what they print for the unchanged one. One input in
``REAL_EVERY`` asks Ansible itself, with a changed file.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest import mock

from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory import load
from jepsenvm.rabbitmq.names import GROUP
from tests.fuzz.mutations import HOSTILE, changed_text
from tests.fuzz.outcome import Outcome, observe

REAL_EVERY: Final = 1000

LISTING: Final[dict[str, Any]] = {
    "_meta": {
        "hostvars": {
            name: {
                "ansible_host": f"192.0.2.1{number}",
                "ansible_port": 22,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": "~/.ssh/id_ed25519",
                "ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new",
                "ansible_become_password": "secret",
                "ansible_python_interpreter": "/usr/bin/python3",
                "cluster_address": f"198.51.100.1{number}",
                "amqp_address": f"192.0.2.1{number}",
                "amqp_port": 5671,
                "amqp_listen_port": 5671,
                "amqp_server_name": f"{name}.example.org",
                "rabbitmq_tls": True,
                "jepsenvm_broker_ca": "~/ca.pem",
                "jepsenvm_existing": True,
                "jepsenvm_vhost": "jepsenvm",
                "jepsenvm_patience": 2.5,
                "jepsenvm_machines": "cloud",
                "jepsenvm_secrets": "secrets",
                "jepsenvm_known_hosts": "known_hosts",
                "allowed_faults": ["partition", "kill"],
            }
            for number, name in enumerate(("n1", "n2", "n3"), 1)
        }
    },
    "all": {"children": ["ungrouped", "rabbitmq", "other"]},
    "rabbitmq": {"hosts": ["n1", "n2", "n3"]},
    "other": {"hosts": ["web-1"]},
}

FILE: Final = """\
[rabbitmq]
n1 ansible_host=192.0.2.11 cluster_address=192.0.2.11
n2 ansible_host=192.0.2.12 ansible_port=2222
n3

[rabbitmq:vars]
ansible_user=root
jepsenvm_patience=2
"""


class Inventories:
    """What Ansible's programs print for the unchanged inventory, and the inputs made from that."""

    def __init__(self) -> None:
        """Ask Ansible's programs."""
        self._printed: dict[str, str] = {}
        run = subprocess.run

        def record(argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
            if "ansible-inventory" in argv[0]:
                return _done(json.dumps(LISTING))
            done: subprocess.CompletedProcess[str] = run(argv, **options)
            self._printed[_program(argv)] = done.stdout
            return done

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "inventory.ini"
            path.write_text(FILE, "utf-8")
            with mock.patch("subprocess.run", record), suppress(UsageError):
                load(path, GROUP)

    def run(self, random: Random, folder: Path) -> Outcome:
        """Load an inventory with a changed listing, or a changed file with Ansible itself."""
        path = folder / "inventory.ini"
        path.write_text(FILE, "utf-8")
        if random.randrange(REAL_EVERY) == 0:
            path.write_bytes(changed_text(random, FILE))
            return observe(lambda: load(path, GROUP))
        listing = _changed_listing(random)
        (folder / "listing.json").write_text(listing, "utf-8", "surrogatepass")

        def answer(argv: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
            if "ansible-inventory" in argv[0]:
                return _done(listing, random.choice((0,) * 19 + (1,)))
            printed = self._printed.get(_program(argv), "")
            if random.random() < 0.1:
                printed = changed_text(random, printed).decode("utf-8", "replace")
            return _done(printed)

        with mock.patch("subprocess.run", answer):
            return observe(lambda: load(path, GROUP))


def _done(printed: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], status, printed, "error")


def _program(argv: Sequence[str]) -> str:
    """Return the name of the program in a command, of the script if it is Python's."""
    return next((word for word in argv if word.endswith(".py")), argv[0])


def _changed_listing(random: Random) -> str:
    if random.random() < 0.25:
        # Ansible prints JSON, whatever it read, but a plug-in may print before it.
        return changed_text(random, json.dumps(LISTING)).decode("utf-8", "replace")
    listing = json.loads(json.dumps(LISTING))
    hostvars = listing["_meta"]["hostvars"]
    for _ in range(random.choice((1, 1, 2, 4))):
        name = random.choice(sorted(next(iter(LISTING["_meta"]["hostvars"].values()))))
        hosts = random.choice((["n1"], ["n1", "n2", "n3"]))
        value = _value(random)
        for host in hosts:
            hostvars[host][name] = value
    if random.random() < 0.1:
        listing["rabbitmq"]["hosts"].append(random.choice(HOSTILE))
    if random.random() < 0.1:
        del listing["rabbitmq"]
    if random.random() < 0.05:
        listing["other"]["children"] = [random.choice(("all", "other", "rabbitmq"))]
    return json.dumps(listing)


def _value(random: Random) -> Any:
    text = random.choice(HOSTILE)
    values: tuple[Any, ...] = (
        text, text, text, None, True, False, 0, -1, 10**30, 1.5, float("inf"), float("nan"),
        [], [text], {}, {"a": text}, [None], [[]], f"-o {text}", f"n1{text}",
    )  # fmt: skip
    return random.choice(values)
