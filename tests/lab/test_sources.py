"""Where RabbitMQ comes from: each source on real hosts, from one to the other, over somebody
else's, and off again.

The hosts go from one source to the next, each test from where the one before has left them, and two
end bare: so these tests come last.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from jepsenvm.machines import lab
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.lab.base import base_path
from tests.lab import debs
from tests.lab.conftest import jepsenvm, on

OURS = (
    # The lab's disk stays mounted at /var/lib/rabbitmq.
    "/etc/rabbitmq /var/lib/rabbitmq/* /var/lib/rabbitmq/.[!.]* /var/log/rabbitmq /opt/jepsenvm /run/jepsenvm* "
    "/usr/local/sbin/rabbitmqctl "
    "/etc/systemd/system/rabbitmq-server.service /etc/apt/keyrings/jepsenvm-rabbitmq.asc "
    "/etc/apt/sources.list.d/jepsenvm-rabbitmq.sources /etc/apt/preferences.d/jepsenvm-rabbitmq"
)
WEB = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def things(cluster: Inventory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive, a package and two repositories; n1 has them too, and serves them to itself."""
    folder, keys = tmp_path_factory.mktemp("things"), tmp_path_factory.mktemp("keys")
    suite = str(cluster.vars["jepsenvm_suite"])
    cached = sorted((base_path(suite) / "var/cache/apt/archives").glob("*.deb"))
    (deb,) = (file for file in cached if file.name.startswith("rabbitmq-server_"))
    (folder / deb.name).write_bytes(deb.read_bytes())
    debs.archive(deb, keys).rename(folder / "rabbitmq-server-generic-unix-3.10.8.tar.gz")
    fingerprint = debs.signing_key(keys / "home", folder / "key.asc")
    (folder / "fingerprint").write_text(fingerprint)
    debs.repository([deb, debs.newer(deb, keys)], folder / "server", suite, keys / "home")
    erlang = [file for file in cached if file.name.startswith("erlang-")]
    debs.repository(erlang, folder / "erlang", suite, keys / "home")
    with subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE) as packed:
        unpack = "sudo mkdir -p /srv/things && sudo tar -C /srv/things -x && sudo chmod -R a+rX /srv/things"
        subprocess.run(lab.ssh_argv("n1", [unpack]), stdin=packed.stdout, check=True, timeout=60)
    on(
        "n1",
        "systemd-run --unit=things python3 -m http.server --bind 127.0.0.1 --directory /srv/things 8000",
    )
    return folder


def inventory_of(
    nodes: list[str],
    cluster: Inventory,
    tmp_path_factory: pytest.TempPathFactory,
    **changes: object,
) -> str:
    content = yaml.safe_load(cluster.path.read_text())
    group = content["all"]["children"]["rabbitmq"]
    group["hosts"] = {name: group["hosts"][name] for name in nodes}
    group["vars"] |= changes
    file = tmp_path_factory.mktemp("inventory") / "hosts.yml"
    file.write_text(yaml.safe_dump(content))
    return str(file)


@pytest.fixture(scope="module")
def two(cluster: Inventory, tmp_path_factory: pytest.TempPathFactory) -> str:
    return inventory_of(["n1", "n2"], cluster, tmp_path_factory)


@pytest.fixture(scope="module")
def one(cluster: Inventory, things: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    web = {
        "server": "repository_url",
        "erlang": "repository_erlang_url",
        "key.asc": "repository_key",
    }
    repositories = {f"rabbitmq_{variable}": f"{WEB}/{name}" for name, variable in web.items()}
    fingerprint = {"rabbitmq_repository_fingerprint": (things / "fingerprint").read_text()}
    return inventory_of(["n1"], cluster, tmp_path_factory, **repositories, **fingerprint)


def deployed(*words: str) -> None:
    """Deploy; a second time, told nothing of the source, keeps it and changes nothing."""
    jepsenvm("deploy", *words, expect=0)
    inventory = words[words.index("-i") : words.index("-i") + 2]
    assert "changed=0" in jepsenvm("deploy", *inventory, expect=0).stdout


def refused(*words: str) -> str:
    done = jepsenvm("deploy", *words, expect=254)
    assert done.stderr.count("\n") == 1
    return done.stderr


def left(node: str) -> str:
    """Return what jepsenvm has left on a host."""
    looks = (
        f"ls -d {OURS} 2>/dev/null",
        'dpkg -l "erlang*" rabbitmq-server 2>/dev/null | grep ^ii',
        "grep jepsenvm /etc/hosts",
        "getent passwd rabbitmq",
        "systemctl list-units --plain --no-legend rabbitmq-server",
    )
    return on(node, "; ".join(looks), check=False)


def test_the_distributions_gives_way_to_an_archive_on_request_only(two: str, things: Path) -> None:
    (file,) = things.glob("*.tar.gz")
    archive = ("-i", two, "--source", "archive", "--file", str(file), "--sha256")
    assert "does not match rabbitmq_sha256; download it again" in refused(*archive, "0" * 64)
    assert (
        "from source distribution, but source archive is requested; reinstall RabbitMQ"
        in refused(*archive, debs.sha256(file))
    )
    deployed(*archive, debs.sha256(file), "--reset")
    assert "/opt/jepsenvm/rabbitmq/" in on("n2", "rabbitmqctl -q environment | grep plugins_dir")
    assert "rabbit@n2" in on("n1", "rabbitmqctl -q cluster_status --formatter json")
    assert on("n1", "dpkg -l rabbitmq-server 2>/dev/null | grep ^ii", check=False) == ""
    jepsenvm("hello", "-i", two, expect=0)


def test_a_package_by_url(one: str, things: Path) -> None:
    (file,) = things.glob("*.deb")
    package = ("--source", "package", "--file", f"{WEB}/{file.name}", "--sha256", debs.sha256(file))
    deployed("-i", one, *package, "--reset")
    assert on("n1", "dpkg-query -W -f \\${Version} rabbitmq-server").startswith("3.10.8-")
    assert (
        on(
            "n1",
            "ls -d /opt/jepsenvm/rabbitmq /usr/local/sbin/rabbitmqctl 2>/dev/null",
            check=False,
        )
        == ""
    )


def test_somebody_elses_is_adopted_and_given_back(one: str) -> None:
    """A RabbitMQ without what marks it as ours is somebody else's."""
    on("n1", "mv /opt/jepsenvm /srv/record; mv /etc/rabbitmq/.jepsenvm /srv/marker")
    on(
        "n1",
        "rabbitmqctl -q add_user theirs secret; echo heartbeat = 77 >> /etc/rabbitmq/rabbitmq.conf",
    )
    assert (
        "has a RabbitMQ that jepsenvm did not install; use another host, take it over"
        in refused("-i", one)
    )
    jepsenvm("deploy", "-i", one, "--adopt", expect=0)
    assert "theirs" not in on("n1", "rabbitmqctl -q list_users; cat /etc/rabbitmq/rabbitmq.conf")
    jepsenvm("remove", "-i", one, expect=0)
    assert "theirs" in on("n1", "rabbitmqctl -q list_users")
    assert "heartbeat = 77\n" in on("n1", "cat /etc/rabbitmq/rabbitmq.conf")
    assert (
        on("n1", "ls -d /opt/jepsenvm /etc/rabbitmq.* /var/lib/rabbitmq/*.before*", check=False)
        == ""
    )
    jepsenvm("remove", "-i", one, expect=254)
    on("n1", "mv /srv/record /opt/jepsenvm; mv /srv/marker /etc/rabbitmq/.jepsenvm")


def test_a_repository_with_another_key_is_refused(
    cluster: Inventory, one: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    group = yaml.safe_load(Path(one).read_text())["all"]["children"]["rabbitmq"]["vars"]
    changes = {**group, "rabbitmq_repository_fingerprint": "0" * 40}
    other = inventory_of(["n1"], cluster, tmp_path_factory, **changes)
    words = ("deploy", "-i", other, "--source", "repository", "--version", "3.10.8", "--reset")
    failed = jepsenvm(*words)
    assert failed.returncode not in (0, 1, 2)
    assert "correct rabbitmq_repository_key or rabbitmq_repository_fingerprint" in failed.stderr
    assert on("n1", "ls /etc/apt/keyrings/jepsenvm-rabbitmq.asc 2>/dev/null", check=False) == ""


def test_a_repository_with_its_erlang(one: str) -> None:
    deployed("-i", one, "--source", "repository", "--version", "3.10.8", "--reset")
    policy = on("n1", "apt-cache policy rabbitmq-server erlang-base")
    assert f"     {debs.NEWER} " in policy
    assert "Installed: 3.10.8-" in policy
    assert f"{WEB}/erlang" in policy
    assert "newer than the requested 3.9.0; reinstall RabbitMQ and delete its data" in refused(
        "-i", one, "--version", "3.9.0"
    )


def test_a_removal_leaves_nothing(two: str) -> None:
    """Of a repository on the one host, and of an archive on the other."""
    jepsenvm("remove", "-i", two, expect=0)
    assert {node: left(node) for node in ("n1", "n2")} == {"n1": "", "n2": ""}
    assert "changed=0" in jepsenvm("remove", "-i", two, expect=0).stdout
