"""Find the package to which RabbitMQ of this host shall be upgraded, and prepare its installation.

Standard input: {"deb": path or null, "wanted": version or null, "source": {...} or null, "act":
"look" or "fetch"}. "look" changes nothing. It prints {"installed": version, "name": package,
"found": version, "package": argument for apt-get, "newer": bool, "problem": text}. "fetch"
downloads what the installation needs, keeps the deployment's record as it will be afterwards, and
prints {"problem": text}. "source" is what that record says of a package file: file and sha256.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from jepsenvm.machines.remote.installed_package import installed_package

NAME = "rabbitmq-server"
FOLDER = Path("/opt/jepsenvm/upgrade")
RECORD = FOLDER.parent / "rabbitmq.json"
APT_S = 150


def main() -> None:
    """Follow the order."""
    order = json.load(sys.stdin)
    print(json.dumps(look(order) if order["act"] == "look" else fetch(order)))


def look(order: dict[str, Any]) -> dict[str, Any]:
    """Return what is installed, what was found, and why that cannot be installed."""
    name, found, package = from_file(order["deb"]) if order["deb"] else from_apt(order["wanted"])
    installed = installed_package()
    return {
        "installed": installed,
        "name": name,
        "found": found,
        "package": package,
        "newer": bool(installed and found) and is_newer(found, installed),
        "problem": apt("--simulate", package) if found and name == NAME else "",
    }


def fetch(order: dict[str, Any]) -> dict[str, Any]:
    """Download the package and its dependencies, and mark it as staged."""
    seen = look(order)
    problem = apt("--download-only", seen["package"])
    if not problem:
        FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        keep_record(seen["found"], order["source"])
        (FOLDER / "staged").write_text(seen["found"] + "\n")
    return {"problem": problem}


def from_file(path: str) -> tuple[str, str, str]:
    """Return the name and the version of a package file, and its path."""
    status, output = run("dpkg-deb", "--field", path, "Package", "Version")
    fields = dict(re.findall(r"^(Package|Version): (\S+)$", output, re.MULTILINE))
    if status or len(fields) < 2:
        return "", "", path
    return fields["Package"], fields["Version"], path


def from_apt(wanted: str) -> tuple[str, str, str]:
    """Return the newest version of the package that is the wanted one, by upstream or in full."""
    _, output = run("apt-cache", "madison", NAME)
    versions = [line.split("|")[1].strip() for line in output.splitlines() if line.count("|") >= 2]
    for version in versions:
        if wanted in (version, re.split("[-+~]", re.sub(r"^\d+:", "", version))[0]):
            return NAME, version, f"{NAME}={version}"
    return NAME, "", ""


def is_newer(version: str, installed: str) -> bool:
    """Return whether a version is newer than the installed one, by Debian's rules."""
    status, _ = run("dpkg", "--compare-versions", version, "gt", installed)
    return status == 0


def apt(mode: str, package: str) -> str:
    """Return why apt cannot install a package; an empty text if it can."""
    options = ("--yes", "--quiet", "--no-install-recommends", "--no-remove")
    status, output = run("apt-get", *options, mode, "install", package)
    errors = [line for line in output.splitlines() if line.startswith("E: ")]
    return "" if status == 0 else (errors or ["apt-get failed"])[-1]


def keep_record(version: str, source: dict[str, str] | None) -> None:
    """Write what the deployment's record will say after the upgrade, if the host has a record."""
    try:
        record = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return
    if source:
        record = {**record, "source": "package", "version": version, **source}
    elif record.get("source") == "repository":
        record = {**record, "version": version}
    else:
        record = {**record, "source": "distribution", "version": "", "file": "", "sha256": ""}
    (FOLDER / "record.json").write_text(json.dumps(record, sort_keys=True) + "\n")


def run(*command: str) -> tuple[int, str]:
    """Return the exit status of a command, and what it printed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=APT_S,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return 1, f"E: {problem}"
    return done.returncode, done.stdout.decode(errors="replace")


if __name__ == "__main__":
    main()
