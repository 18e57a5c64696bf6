"""What a process of a fault says when it fails."""

from __future__ import annotations

import pytest

from jepsenvm.machines.remote.fire import ActionError, Started

DIAGNOSTICS = """\
Error: unable to perform an operation on node 'rabbit@n1'. Please see diagnostics information.

Most common reasons for this are:
 * Target node is not running

Current node details:
 * node name: 'rabbitmqcli-1-rabbit@n1'
 * Erlang cookie hash: aGFzaA==
"""
"""The standard error of rabbitmqctl without a broker."""


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (f"cat >&2 <<'END'\n{DIAGNOSTICS}END\nexit 69", DIAGNOSTICS.splitlines()[0]),
        ("echo one >&2; echo two >&2; echo >&2; exit 1", "two"),
        ("exit 7", "sh ended with status 7"),
    ],
)
def test_the_reason_of_a_failure_is_its_error_else_its_last_line(script: str, reason: str) -> None:
    started = Started({"argv": ["sh", "-c", script], "stdin": ""})
    started.give()
    started.process.wait(60)
    with pytest.raises(ActionError) as raised:
        started.check()
    assert str(raised.value) == reason
