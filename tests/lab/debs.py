"""What the tests of sources install from: an archive and an apt repository, made of the lab's own
packages.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

NEWER = "3.99.0-1"


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def archive(deb: Path, folder: Path) -> Path:
    """Return a generic-unix archive with the RabbitMQ of a package: what runs from it is a real
    one.
    """
    unpacked = folder / "unpacked"
    _run("dpkg-deb", "-x", deb, unpacked)
    (root,) = (unpacked / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")
    defaults = root / "sbin/rabbitmq-defaults"
    defaults.write_text(
        defaults.read_text().replace("\nSYS_PREFIX=\n", "\nSYS_PREFIX=${RABBITMQ_HOME}\n")
    )
    file = (
        folder / f"rabbitmq-server-generic-unix-{root.name.removeprefix('rabbitmq_server-')}.tar.gz"
    )
    _run("tar", "-C", root.parent, "-czf", file, root.name)
    return file


def newer(deb: Path, folder: Path) -> Path:
    """Build a copy of a package that differs only in its version, NEWER."""
    return _rebuilt(deb, folder, NEWER)


def upgraded(deb: Path, folder: Path, version: str) -> Path:
    """Build a copy of a package that has, and whose broker reports, another version.

    It is the same program, so it can run in one cluster with the original.
    """
    return _rebuilt(deb, folder, version, reported=version.partition("-")[0])


def _rebuilt(deb: Path, folder: Path, version: str, reported: str | None = None) -> Path:
    unpacked = folder / f"rebuilt-{version}"
    _run("dpkg-deb", "-R", deb, unpacked)
    if reported is not None:
        pattern = "usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbit-*/ebin/rabbit.app"
        (application,) = unpacked.glob(pattern)
        text, count = re.subn(r'(\{vsn, *")[^"]+', rf"\g<1>{reported}", application.read_text())
        assert count == 1
        application.write_text(text)
    control = unpacked / "DEBIAN/control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text(
        "".join(f"Version: {version}\n" if line.startswith("Version:") else line for line in lines)
    )
    file = folder / f"rabbitmq-server_{version}_all.deb"
    _run("dpkg-deb", "-Zgzip", "-b", unpacked, file)
    return file


def repository(debs: Sequence[Path], folder: Path, suite: str, home: Path) -> None:
    """Create a signed apt repository of these packages with the Origin of Team RabbitMQ."""
    binary = folder / "dists" / suite / "main/binary-amd64"
    (folder / "pool").mkdir(parents=True)
    binary.mkdir(parents=True)
    packages = binary / "Packages"
    packages.write_text("\n".join(_entry(deb, folder) for deb in debs))
    release = folder / "dists" / suite / "Release"
    release.write_text(
        f"Origin: RabbitMQ\nLabel: test\nSuite: {suite}\nCodename: {suite}\n"
        f"Components: main\nArchitectures: amd64\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
        f" {sha256(packages)} {packages.stat().st_size} {packages.relative_to(release.parent)}\n"
    )
    _gpg(home, "--clearsign", "--output", release.with_name("InRelease"), release)


def signing_key(home: Path, file: Path) -> str:
    """Create a signing key and write its public key to a file; return its fingerprint."""
    home.mkdir(mode=0o700)
    _gpg(home, "--quick-generate-key", "packages@example.org", "default", "sign", "never")
    _gpg(home, "--armor", "--export", "--output", file)
    listing = _run("gpg", "--homedir", home, "--with-colons", "--show-keys", file)
    return str(re.findall(r"^fpr:+([0-9A-F]{40}):", listing, re.MULTILINE)[0])


def _entry(deb: Path, folder: Path) -> str:
    pooled = folder / "pool" / deb.name.replace("%3a", ".")
    os.link(
        deb, pooled
    ) if deb.stat().st_dev == pooled.parent.stat().st_dev else pooled.write_bytes(deb.read_bytes())
    control = _run("dpkg-deb", "-f", deb).rstrip("\n")
    place = (
        f"Filename: {pooled.relative_to(folder)}\nSize: {deb.stat().st_size}\nSHA256: {sha256(deb)}"
    )
    return f"{control}\n{place}\n"


def _gpg(home: Path, *words: str | Path) -> None:
    _run(
        "gpg",
        "--homedir",
        home,
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        "",
        *words,
    )


def _run(*argv: str | Path) -> str:
    return subprocess.run(
        [str(word) for word in argv], check=True, capture_output=True, text=True
    ).stdout
