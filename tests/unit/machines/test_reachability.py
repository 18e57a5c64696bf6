"""When a link between two nodes counts as whole."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment import preflight
from jepsenvm.machines.reachability import broken_links
from jepsenvm.machines.reachability_probe import reachability
from jepsenvm.machines.remote_source import source
from tests.unit.fakes import FakeFleet, facts

Answers = Mapping[tuple[str, str], Mapping[str, str]]
"""(from, to) -> port -> answer."""


class Network(FakeFleet):
    """Nodes whose probes give the same answers each time; all ports answer otherwise."""

    def __init__(self, answers: Answers, listening: Mapping[str, list[int]] | None = None) -> None:
        super().__init__("n1", "n2", "n3")
        self.answers = answers
        self.listening = listening or {}
        self.measured = 0

    def python(
        self,
        node: str,
        program: str,
        order: Mapping[str, Any] | None = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        self._require_answer(node)
        assert program == "reach"
        assert order is not None
        self.measured += 1
        rows = {
            peer: {
                str(port): self.answers.get((node, peer), {}).get(str(port), "open")
                for port in target["ports"]
            }
            for peer, target in order["peers"].items()
        }
        return {
            "reached": {
                peer: any(answer != "silent" for answer in row.values())
                for peer, row in rows.items()
            },
            "answers": rows,
            "listening": self.listening.get(node, [4369, 25672]),
        }


def broken(network: Network) -> set[str]:
    measured = reachability(network, facts(*network.nodes))
    return {
        f"{source}-{target}{ports}"
        for source, target, ports in broken_links(measured.matrix, measured.blocked)
    }


REFUSED = {"4369": "refused", "25672": "refused"}
SILENT = {"4369": "silent", "25672": "silent"}
DOWN: dict[str, list[int]] = {name: [] for name in ("n1", "n2", "n3")}


@pytest.mark.parametrize(
    ("answers", "listening", "links"),
    [
        ({}, None, set()),
        # Without a broker nothing listens, and a refused connection is the host's own answer.
        ({("n1", "n2"): REFUSED, ("n2", "n1"): REFUSED}, DOWN, set()),
        ({("n1", "n2"): {"25672": "silent"}}, None, {"n1-n2 on port 25672"}),
        ({("n1", "n2"): {"4369": "silent"}}, None, {"n1-n2 on port 4369"}),
        ({("n1", "n2"): {"25672": "silent"}}, DOWN, {"n1-n2 on port 25672"}),
        # A rule with REJECT refuses a connection to a port that accepts others.
        ({("n3", "n2"): {"25672": "refused"}}, None, {"n3-n2 on port 25672"}),
        ({("n3", "n2"): REFUSED}, None, {"n3-n2 on ports 4369 and 25672"}),
        ({("n3", "n2"): {"25672": "refused"}}, {"n2": [4369]}, set()),
        ({("n1", "n2"): SILENT}, None, {"n1-n2"}),
    ],
)
def test_a_link_is_whole_if_every_port_passes_in_each_direction(
    answers: Answers, listening: Mapping[str, list[int]] | None, links: set[str]
) -> None:
    assert broken(Network(answers, listening)) == links


def test_a_node_whose_probe_fails_has_no_whole_link() -> None:
    network = Network({})
    network.broken = {"n1"}
    assert broken(network) == {"n1-n2", "n1-n3"}


def test_another_distribution_port_is_probed_instead() -> None:
    network = Network({("n1", "n2"): {"25672": "silent", "25680": "silent"}})
    network.nodes["n2"] = replace(network.nodes["n2"], distribution_port=25680)
    assert broken(network) == {"n1-n2 on port 25680"}


def test_a_run_is_refused_only_if_the_network_stays_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "in_force", lambda _fleet: {})
    network = Network({("n1", "n2"): {"25672": "silent"}})
    of_nodes = facts(*network.nodes)
    with pytest.raises(UsageError, match=r"broken before any fault: n1 to n2 on port 25672; run"):
        preflight.require_ready_for_faults(network, of_nodes)
    assert network.measured == 3 * preflight.MEASUREMENTS
    preflight.require_ready_for_faults(Network({}), of_nodes)


def probed(order: Mapping[str, Any]) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", source("reach")],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("listens_at", "family"),
    [("127.0.0.1", socket.AF_INET), ("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)],  # noqa: S104 - of this test
)
def test_the_program_tells_open_from_refused_and_what_listens(
    listens_at: str, family: socket.AddressFamily
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    with socket.create_server(
        (listens_at, 0), family=family, dualstack_ipv6=family == socket.AF_INET6
    ) as server:
        port = server.getsockname()[1]
        target = {
            "addresses": ["127.0.0.1"],
            "cluster_address": "127.0.0.1",
            "ports": [port, closed],
        }
        answer = probed({"peers": {"n2": target}, "own": target, "timeout": 5})
    assert answer == {
        "reached": {"n2": True},
        "answers": {"n2": {str(port): "open", str(closed): "refused"}},
        "listening": [port],
    }


def test_the_program_does_not_count_a_listener_at_another_address() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        target = {"addresses": [], "cluster_address": "127.0.0.1", "ports": [port]}
        answer = probed({"peers": {"n2": target}, "own": target, "timeout": 5})
    assert answer["answers"] == {"n2": {str(port): "refused"}}
    assert answer["listening"] == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"reached": {}, "answers": {}, "listening": []},
        {"reached": {"n1": True}, "answers": {"n1": {}}, "listening": []},
        {"reached": {"n1": True, "n3": True}, "answers": [], "listening": []},
        {"reached": {"n1": True, "n3": True}, "answers": {"n1": {}, "n3": {}}, "listening": [{}]},
        {"reached": {"n1": True, "n3": True}, "answers": {"n1": 1, "n3": {}}, "listening": []},
        {"reached": {"n1": True, "n3": True}, "answers": {"n1": {"x": "open"}, "n3": {}}},
    ],
)
def test_a_malformed_answer_is_no_measurement(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    network = Network({})
    usual = network.python

    def python(node: str, *args: Any, **options: Any) -> Any:
        return answer if node == "n2" else usual(node, *args, **options)

    monkeypatch.setattr(network, "python", python)
    measured = reachability(network, facts(*network.nodes))
    assert measured.matrix["n2"] == {"n1": None, "n3": None}
    assert measured.matrix["n1"] == {"n2": True, "n3": True}
