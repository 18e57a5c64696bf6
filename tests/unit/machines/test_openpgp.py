"""The fingerprints of an apt repository's key, compared with those of gpg."""

from __future__ import annotations

import base64
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from jepsenvm.machines.ansible import playbooks
from tests.unit.machines.test_listeners import evaluated

FILTERS = playbooks() / "roles/rabbitmq/filter_plugins/openpgp.py"

# Two keys of gpg 2.2 (Ed25519 with a subkey, and RSA 1024), exported together.
ARMORED = (Path(__file__).parent / "data/keys.asc").read_text()
FINGERPRINTS = re.findall(r"[0-9A-F]{40}", (Path(__file__).parent / "data/keys.txt").read_text())


@pytest.fixture(scope="module")
def openpgp() -> ModuleType:
    spec = importlib.util.spec_from_file_location("openpgp", FILTERS)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def encoded(file: bytes | str) -> str:
    return base64.b64encode(file.encode() if isinstance(file, str) else file).decode()


def binary() -> bytes:
    body = ARMORED.split("\n\n", 1)[1].rsplit("\n=", 1)[0]
    return base64.b64decode(body)


def test_the_fingerprints_are_those_of_gpg(openpgp: ModuleType) -> None:
    assert len(FINGERPRINTS) == 2
    assert openpgp.fingerprints(encoded(ARMORED)) == FINGERPRINTS
    assert openpgp.fingerprints(encoded(binary())) == FINGERPRINTS
    assert openpgp.fingerprints(encoded(ARMORED.replace("\n", "\r\n"))) == FINGERPRINTS
    commented = ARMORED.replace("\n\n", "\nComment: 0A9A F211\n\n", 1)
    assert openpgp.fingerprints(encoded(commented)) == FINGERPRINTS


def test_a_second_key_in_the_file_is_seen(openpgp: ModuleType) -> None:
    assert openpgp.fingerprints(encoded(ARMORED + ARMORED)) == FINGERPRINTS


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"<html>not found</html>",
        binary()[:-1],
        binary() + b"\x00",
        binary().replace(b"\x98", b"\x9b", 1),
        ARMORED.replace("-----END", "----END"),
        ARMORED.replace("\n\n", "\n!\n", 1),
        ARMORED + "-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
        ARMORED + "é",
    ],
)
def test_a_file_that_is_not_understood_has_none(openpgp: ModuleType, file: bytes | str) -> None:
    assert openpgp.fingerprints(encoded(file)) == []


def test_fingerprints_are_compared_without_their_groups(openpgp: ModuleType) -> None:
    grouped = "0a9a f211 5f46 87bd 2980  3a20 6b73 a36e 6026 dfca"
    normal = ["0A9AF2115F4687BD29803A206B73A36E6026DFCA"]
    assert openpgp.normal_fingerprints(grouped) == normal
    assert openpgp.normal_fingerprints([grouped, ""]) == normal
    assert openpgp.normal_fingerprints("") == []


def test_a_deployment_compares_every_key_in_the_file(tmp_path: Path) -> None:
    one, two = FINGERPRINTS
    wanted = {
        "none": "",
        "all": FINGERPRINTS,
        "one": one,
        "grouped": [f"{one[:20]} {one[20:]}", two],
    }
    extra = {"rabbitmq_key_file": {"content": encoded(ARMORED)}}
    problems = {
        name: evaluated(
            tmp_path,
            {"ansible_host": "10.0.0.11"},
            {**extra, "rabbitmq_repository_fingerprint": fingerprint},
            {"problem": "rabbitmq_key_problem"},
        )["problem"]
        for name, fingerprint in wanted.items()
    }
    assert (problems["none"], problems["all"], problems["grouped"]) == ("", "", "")
    assert f"has the fingerprint {one} {two}, not {one}; correct rabbitmq_rep" in problems["one"]
