"""What the role rabbitmq makes of what it finds on a host and of what is wanted: its variables, by
Ansible.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from jepsenvm.machines.ansible import playbooks

BARE = {"record": {}, "package": "", "archive": "", "erlang": "", "marked": False, "active": False}
SHA = "0123456789abcdef" * 4


def record(source: str, **changes: object) -> dict[str, Any]:
    return {
        "source": source,
        "version": "",
        "file": "",
        "sha256": "",
        "adopted": False,
        "erlang": True,
        **changes,
    }


FOREIGN = {"package": "installed 3.10.8-1.1+deb12u1", "erlang": "/usr/bin/erl", "active": True}
DISTRIBUTION = {
    "record": record("distribution"),
    "package": "installed 3.10.8-1.1+deb12u1",
    "marked": True,
}
REPOSITORY = {
    "record": record("repository", version="4.1.3"),
    "package": "installed 4.1.3-1",
    "marked": True,
}
ARCHIVE = {
    "record": record("archive", file="/x/rabbitmq-server-generic-unix-4.1.3.tar.xz", sha256=SHA),
    "archive": "/opt/jepsenvm/rabbitmq_server-4.1.3",
    "marked": True,
}


@pytest.fixture(scope="module")
def role() -> dict[str, Any]:
    loader, folder = DataLoader(), playbooks() / "roles/rabbitmq"
    # Since 2.19, Ansible evaluates nothing that was not declared to be its own.
    trusted = "trusted_as_template" in inspect.signature(loader.load_from_file).parameters
    options = {"trusted_as_template": True} if trusted else {}
    files = [folder / part / "main.yml" for part in ("defaults", "vars")]
    return {
        name: value
        for file in files
        for name, value in loader.load_from_file(str(file), **options).items()
    }


def said(role: dict[str, Any], variable: str, seen: dict[str, Any], **wanted: object) -> Any:
    facts = {"distribution": "Debian", "distribution_release": "bookworm"}
    there = {"rabbitmq_inspection": {"host": BARE | seen}, "ansible_facts": facts}
    settings = {f"rabbitmq_{name}": value for name, value in wanted.items()}
    return Templar(loader=DataLoader(), variables={**role, **there, **settings}).template(
        role[f"rabbitmq_{variable}"]
    )


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("/x/rabbitmq-server-generic-unix-4.1.3.tar.xz", "4.1.3"),
        (
            "https://example.org/a/rabbitmq-server-generic-unix-4.2.0-alpha.12.tar.xz",
            "4.2.0-alpha.12",
        ),
        ("rabbitmq-server_3.10.8-1.1+deb12u1_all.deb", "3.10.8-1.1+deb12u1"),
        ("rabbitmq.tar.gz", ""),
    ],
)
def test_a_file_says_its_version(role: dict[str, Any], file: str, version: str) -> None:
    assert said(role, "requested", {}, source="archive", file=file, version="") == version


def test_a_host_keeps_its_source_unless_told_otherwise(role: dict[str, Any]) -> None:
    assert said(role, "source", {}) == "distribution"
    assert said(role, "source", ARCHIVE) == "archive"
    assert said(role, "up_to_date", ARCHIVE)
    assert said(role, "replacement_reason", ARCHIVE) == ""
    assert said(role, "requested", REPOSITORY) == "4.1.3"


@pytest.mark.parametrize(
    ("seen", "wanted", "says"),
    [
        (
            DISTRIBUTION,
            {"source": "archive", "version": "4.1.3", "sha256": SHA},
            "from source distribution, but source archive is requested",
        ),
        (
            REPOSITORY,
            {"source": "distribution", "version": ""},
            "from source repository, but source distribution is",
        ),
        (
            FOREIGN,
            {"source": "repository", "version": "4.1.3"},
            "from source distribution, but source repository is",
        ),
        (
            REPOSITORY,
            {"version": "4.0.5"},
            "4.1.3-1 is installed, which is newer than the requested 4.0.5",
        ),
        (
            ARCHIVE,
            {"sha256": "f" * 64},
            "is installed from another archive, and the requested archive is not",
        ),
    ],
)
def test_what_would_have_to_be_replaced(
    role: dict[str, Any], seen: dict[str, Any], wanted: dict[str, Any], says: str
) -> None:
    assert says in said(role, "replacement_reason", seen, **wanted)


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ({}, {"source": "repository"}),
        ({"package": "config-files 4.1.3-1"}, {"source": "archive", "version": "3.13.7"}),
        (REPOSITORY, {"version": "4.1.5-1"}),
        (REPOSITORY, {"version": "4.1.3-1"}),
        (ARCHIVE, {"file": "/x/rabbitmq-server-generic-unix-4.1.4.tar.xz", "sha256": "f" * 64}),
    ],
)
def test_what_can_be_installed_or_upgraded(
    role: dict[str, Any], seen: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert said(role, "replacement_reason", seen, **wanted) == ""


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"version": "4.1.3"}, "source distribution has only one version; remove rabbitmq_version"),
        (
            {"source": "archive"},
            "rabbitmq_file is missing, and source archive needs it; set it to a URL",
        ),
        (
            {"source": "archive", "file": "https://x/a-4.1.3.tar.xz"},
            "rabbitmq_sha256 is missing; set it to the",
        ),
        (
            {"source": "package", "file": "https://x/a_4.1.3-1_all.deb"},
            "rabbitmq_sha256 is missing; set it to the",
        ),
        (
            {"source": "package", "file": "https://x/a_4.1.3-1_all.deb", "sha256": "abc"},
            "not a SHA-256 (64 hex",
        ),
        (
            {"source": "archive", "file": "https://x/a.tar.xz", "sha256": SHA},
            "file name a.tar.xz contains no version; set",
        ),
        (
            {"source": "package", "file": "/x/a_4.1.3-1_all.deb"},
            "is not a file on this machine; correct the path",
        ),
        (
            {"source": "repository", "repository_key": "https://x/key.asc"},
            "rabbitmq_repository_fingerprint is missing; set it to the",
        ),
        (
            {"file": "/x/a_4.1.3-1_all.deb"},
            "but source distribution uses no file; remove rabbitmq_file",
        ),
    ],
)
def test_settings_that_do_not_fit_together(
    role: dict[str, Any], wanted: dict[str, Any], says: str
) -> None:
    assert says in said(role, "settings_problem", {}, local_file={}, **wanted)


def test_what_was_there_before_us_counts_as_adopted(role: dict[str, Any]) -> None:
    assert said(role, "adopted", FOREIGN)
    assert not said(role, "adopted", {})
    assert not said(role, "adopted", DISTRIBUTION)
    assert said(role, "adopted", {**FOREIGN, "record": record("distribution", adopted=True)})


def test_erlang_is_pinned_to_match(role: dict[str, Any]) -> None:
    assert said(role, "erlang_version", {}, source="repository", version="3.13.7") == "1:26.*"
    assert said(role, "erlang_version", {}, source="repository", version="4.1.3-1") == "1:27.*"
    assert said(role, "erlang_version", {}, source="repository") == ""


def test_the_default_key_has_its_fingerprint(role: dict[str, Any]) -> None:
    assert said(role, "settings_problem", {}, local_file={}, source="repository") == ""
    fingerprint = said(role, "repository_fingerprint", {}, source="repository")
    assert fingerprint == "0A9AF2115F4687BD29803A206B73A36E6026DFCA"


EMPTY = {
    "block": True,
    "number": "8:16",
    "mounts": "",
    "devices": 1,
    "holds": "",
    "at_data": "",
    "database": False,
}
MADE = {**EMPTY, "mounts": "/var/lib/rabbitmq", "holds": "ext4 jepsenvm-data", "at_data": "8:16"}


def device_problem(
    role: dict[str, Any], device: dict[str, Any], seen: dict[str, Any], **wanted: object
) -> str:
    answer = {"stdout": json.dumps(device)}
    settings = {"data_device": "/dev/sdb", "data_device_inspection": answer, **wanted}
    return str(said(role, "data_device_problem", seen, **settings))


@pytest.mark.parametrize("seen", [BARE, DISTRIBUTION])
@pytest.mark.parametrize(
    ("device", "resetting"),
    [
        (EMPTY, False),
        (MADE, False),
        ({**MADE, "database": True}, False),
        ({**EMPTY, "holds": "ext4 jepsenvm-data"}, False),
        ({**EMPTY, "database": True}, True),
    ],
)
def test_a_device_for_the_data(
    role: dict[str, Any], seen: dict[str, Any], device: dict[str, Any], resetting: bool
) -> None:
    assert device_problem(role, device, seen, resetting=resetting) == ""


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ({"block": False}, "/dev/sdb is no block device of this host"),
        ({**EMPTY, "mounts": "/srv /home"}, "/dev/sdb is mounted at /srv /home; unmount it"),
        ({**EMPTY, "devices": 3}, "/dev/sdb has partitions or is in use"),
        ({**EMPTY, "holds": "gpt PMBR"}, "did not make (gpt PMBR); name an empty device"),
        ({**EMPTY, "holds": "ext4"}, "did not make (ext4); name an empty device"),
        ({**EMPTY, "holds": "xfs jepsenvm-data"}, "did not make (xfs jepsenvm-data)"),
        ({**EMPTY, "at_data": "7:0"}, "another file system than rabbitmq_data_device is mounted"),
        ({**EMPTY, "database": True}, "RabbitMQ has data in /var/lib/rabbitmq already"),
    ],
)
def test_a_device_that_holds_something_is_refused(
    role: dict[str, Any], device: dict[str, Any], problem: str
) -> None:
    found = device_problem(role, device, DISTRIBUTION)
    assert problem in found
    assert "; " in found
    assert "\n" not in found


def test_the_data_of_an_adopted_rabbitmq_is_not_moved(role: dict[str, Any]) -> None:
    assert "it adopts; remove rabbitmq_data_device" in device_problem(role, EMPTY, FOREIGN)


@pytest.mark.parametrize("device", ["sdb", "/dev/sd b", "/dev/sdb;reboot", "/dev/sdb\n", "/srv/x"])
def test_a_path_that_is_no_device_is_refused(role: dict[str, Any], device: str) -> None:
    found = said(role, "settings_problem", BARE, data_device=device)
    assert found == "rabbitmq_data_device is not the path of a device; write one, such as /dev/sdb"


@pytest.mark.parametrize("device", ["", "/dev/sdb", "/dev/disk/by-id/scsi-0HC_Volume_1"])
def test_a_path_of_a_device(role: dict[str, Any], device: str) -> None:
    assert said(role, "settings_problem", BARE, data_device=device) == ""
