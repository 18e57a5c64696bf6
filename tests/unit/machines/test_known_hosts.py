"""Which host keys are accepted, of whatever known_hosts files contain."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest

from jepsenvm.machines.known_hosts import host_keys

RSA, ECDSA, OTHER = (paramiko.ECDSAKey.generate(bits=bits) for bits in (256, 384, 521))


def text(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"


def accepted(tmp_path: Path, content: str | bytes, host: str = "n1", port: int = 22) -> list[str]:
    file = tmp_path / "known_hosts"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    keys = host_keys([str(tmp_path / "missing"), str(file), str(tmp_path)], host, port)
    return [key.get_base64() for key in keys.accepted]


HASHED = paramiko.HostKeys.hash_host("n1")

ODD = b"""\xff\xfe not UTF-8
# a comment

n1
n1 ssh-ed25519
n1 ssh-ed25519 !!!!
n1 ssh-nonsense AAAA
n1 ssh-rsa AAAAB3NzaC1yc2EAAAA
|1|broken ssh-rsa AAAA
@nonsense n1 ssh-rsa AAAA
"""


@pytest.mark.parametrize(
    ("line", "host", "port"),
    [
        (f"n1 {text(RSA)}\n", "n1", 22),
        (f"n1 {text(RSA)}", "n1", 22),
        (f"n1,n2 {text(RSA)} a comment\n", "n2", 22),
        (f"*.example.org,!bad.example.org {text(RSA)}\n", "n1.example.org", 22),
        (f"{HASHED} {text(RSA)}\n", "n1", 22),
        (f"[n1]:2222 {text(RSA)}\n", "n1", 2222),
        # ssh accepts a key that is listed without a port, too.
        (f"n1 {text(RSA)}\n", "n1", 2222),
        (f"192.0.2.? {text(RSA)}\r\n", "192.0.2.1", 22),
        (f"2001:db8::1 {text(RSA)}\n", "2001:db8::1", 22),
    ],
)
def test_a_key_is_found_as_ssh_finds_it(tmp_path: Path, line: str, host: str, port: int) -> None:
    assert accepted(tmp_path, ODD + line.encode(), host, port) == [RSA.get_base64()]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        ODD,
        f"n2 {text(RSA)}\n".encode(),
        f"[n1]:2222 {text(RSA)}\n".encode(),
        f"n*,!n1 {text(RSA)}\n".encode(),
        f"@cert-authority n1 {text(RSA)}\n".encode(),
        f"@revoked n1 {text(RSA)}\n".encode(),
        f"n1 {text(RSA)}\n@revoked * {text(RSA)}\n".encode(),
    ],
)
def test_no_other_key_is_accepted(tmp_path: Path, content: bytes) -> None:
    assert accepted(tmp_path, content) == []


def test_a_revoked_key_does_not_hide_another_one(tmp_path: Path) -> None:
    content = f"n1 {text(RSA)}\nn1 {text(ECDSA)}\n@revoked n1 {text(RSA)}\n"
    assert accepted(tmp_path, content) == [ECDSA.get_base64()]
    keys = host_keys([str(tmp_path / "known_hosts")], "n1", 22)
    assert [key.get_base64() for key in keys.revoked] == [RSA.get_base64()]
