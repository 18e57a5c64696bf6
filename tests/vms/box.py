"""Builds the Vagrant box of the VM tests.

The box is Debian bookworm for vagrant-libvirt, with RabbitMQ's packages in apt's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from jepsenvm.machines.lab.base import CONTAINED
from jepsenvm.machines.lab.suites import mirror_for
from jepsenvm.machines.lab.topology import CACHE

SUITE: Final = "bookworm"
BOXES: Final = CACHE / "vms"
VIRTUAL_SIZE_GIB: Final = 4
PROGRAMS: Final = (
    "mmdebstrap",
    "truncate",
    "mkfs.ext4",
    "mount",
    "extlinux",
    "umount",
    "qemu-img",
    "tar",
)

PACKAGES: Final = (
    "systemd,systemd-sysv,dbus,linux-image-cloud-amd64,initramfs-tools,extlinux,ifupdown,"
    "isc-dhcp-client,openssh-server,python3,python3-apt,sudo,ca-certificates,iptables,"
    "iproute2,procps,kmod,udev,netbase"
)

# Units that only cost time under emulation, and timers that would take apt's lock from Ansible.
MASKED: Final = (
    "apt-daily.service apt-daily.timer apt-daily-upgrade.service apt-daily-upgrade.timer "
    "dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@tty1.service"
)

EXTLINUX: Final = """DEFAULT linux
PROMPT 0
TIMEOUT 1
LABEL linux
 LINUX /vmlinuz
 INITRD /initrd.img
 APPEND root=/dev/vda ro net.ifnames=0 console=ttyS0 quiet mitigations=off
"""

HOST_KEY_UNIT: Final = """[Unit]
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
[Install]
WantedBy=multi-user.target
"""

# Ruby that prints the path of Vagrant's insecure public key. A new box trusts that key, and Vagrant
# replaces it when a VM first starts.
INSECURE_KEY: Final = (
    "puts Gem::Specification.find_by_name('vagrant').gem_dir + '/keys/vagrant.pub'"
)


def ensure_box() -> Path:
    """Return the box of the current recipe; build it unless it exists, and delete older boxes."""
    recipe = hashlib.sha256(
        json.dumps([PACKAGES, EXTLINUX, VIRTUAL_SIZE_GIB, hooks()]).encode()
    ).hexdigest()[:12]
    box = BOXES / f"{SUITE}-{recipe}.box"
    if not box.exists():
        BOXES.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=BOXES) as scratch:
            _build(Path(scratch), box)
        for old in BOXES.glob(f"{SUITE}-*.box"):
            if old != box:
                old.unlink()
    return box


def hooks() -> tuple[str, ...]:
    """Return the shell commands that mmdebstrap runs, with $1 = the new root folder."""
    key = Path(_output("ruby", "-e", INSECURE_KEY)).read_text(encoding="utf-8").strip()
    return (
        'chroot "$1" useradd --create-home --shell /bin/bash vagrant',
        'echo "vagrant ALL=(ALL) NOPASSWD: ALL" > "$1/etc/sudoers.d/vagrant"; '
        'chmod 0440 "$1/etc/sudoers.d/vagrant"',
        'chroot "$1" install -d -m 700 -o vagrant -g vagrant /home/vagrant/.ssh',
        f'echo "{key}" > "$1/home/vagrant/.ssh/authorized_keys"',
        'chroot "$1" chown vagrant: /home/vagrant/.ssh/authorized_keys',
        "printf '"
        + r"auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n' "
        + '> "$1/etc/network/interfaces"',
        'echo "/dev/vda / ext4 errors=remount-ro 0 1" > "$1/etc/fstab"; '
        'echo debian > "$1/etc/hostname"',
        'echo "UseDNS no" > "$1/etc/ssh/sshd_config.d/vagrant.conf"',
        f'chroot "$1" systemctl mask {MASKED}',
        # Every VM generates its own host keys when it first boots.
        'rm -f "$1"/etc/ssh/ssh_host_*',
        f"printf '%s' '{HOST_KEY_UNIT}' > " + '"$1/etc/systemd/system/host-key.service"',
        'chroot "$1" systemctl enable host-key.service',
        # The VMs cannot reach the package mirror, so Ansible installs from their apt cache.
        'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get clean',
        'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get install --yes --download-only '
        "--no-install-recommends rabbitmq-server",
    )


def _build(scratch: Path, box: Path) -> None:
    root, disk = scratch / "root", scratch / "disk.raw"
    mirror = mirror_for(SUITE)
    _run(
        *CONTAINED,
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={PACKAGES}"),
        *("--dpkgopt=force-unsafe-io", *(f"--customize-hook={hook}" for hook in hooks())),
        *(
            "--skip=cleanup/apt/lists,cleanup/apt/cache",
            SUITE,
            str(root),
            *((mirror,) if mirror else ()),
        ),
    )
    root.chmod(0o755)
    (root / "boot/extlinux").mkdir(parents=True)
    (root / "boot/extlinux/extlinux.conf").write_text(EXTLINUX, encoding="utf-8")
    _run("truncate", "-s", f"{VIRTUAL_SIZE_GIB}G", str(disk))
    _run("mkfs.ext4", "-q", "-F", "-O", "^64bit", "-d", str(root), str(disk))
    with _mounted(disk, scratch / "mounted") as mounted:
        _run("extlinux", "--install", str(mounted / "boot/extlinux"))
    _run("qemu-img", "convert", "-c", "-O", "qcow2", str(disk), str(scratch / "box.img"))
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": VIRTUAL_SIZE_GIB}
    (scratch / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (scratch / "Vagrantfile").write_text('Vagrant.configure("2") {}\n', encoding="utf-8")
    _run(
        "tar",
        "-C",
        str(scratch),
        "-cf",
        str(scratch / "box"),
        "metadata.json",
        "Vagrantfile",
        "box.img",
    )
    (scratch / "box").rename(box)


@contextmanager
def _mounted(disk: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    _run("mount", "-o", "loop", str(disk), str(folder))
    try:
        yield folder
    finally:
        _run("umount", str(folder))


def _run(*argv: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    status = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, env=environment).returncode
    if status != 0:
        program = next(word for word in argv if word in PROGRAMS)
        raise SystemExit(
            f"test-vms: cannot build the box: {program} exited {status}; see its output above"
        )


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    print(ensure_box())
