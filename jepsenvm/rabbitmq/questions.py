"""Questions to a node's broker: Erlang expressions whose values come back as JSON.

``erl_call``, a small program of Erlang, gets an answer within milliseconds. ``rabbitmqctl`` starts
an Erlang VM for each question, which takes about a second of CPU time. It asks where ``erl_call``
is missing or cannot connect, such as in clusters whose nodes use TLS or IPv6 among themselves.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from string import Template
from typing import TYPE_CHECKING, Any, Final

from jepsenvm.errors import MALFORMED, CommandError, RunError, shown
from jepsenvm.rabbitmq.erlang import Erlang

if TYPE_CHECKING:  # paramiko takes long to import, and a check of a history needs no SSH
    from jepsenvm.machines.ssh import Fleet

_CONNECT_S: Final = 7
"""Seconds that a broker may take to accept ``erl_call``; Erlang's own limit (net_setuptime).

``erl_call`` has no limit, and a broker whose process is stopped never accepts it.
"""

_PIECE: Final = re.compile(r'"([A-Za-z0-9+/=]*)"')
"""A part of a string. ``rabbitmqctl eval`` prints a long string in several parts."""

_BY_ERL_CALL: Final = Template("""answer=
if command -v erl_call >/dev/null && [ -r ~rabbitmq/.erlang.cookie ]; then
  ask() { HOME=~rabbitmq timeout "$$1" erl_call $kind $name -e 2>/dev/null; }
  echo 'node().' | ask $connect_s >/dev/null && answer=$$(echo $code | ask $timeout_s)
  status=$$?
  case $$answer in '{ok, "'*) printf %s "$$answer"; exit;; esac
  [ $$status != 124 ] || { echo "$name did not answer in time" >&2; exit 1; }
fi
""")
"""Prints the answer and exits, unless ``rabbitmqctl`` has to be asked."""


def ask(fleet: Fleet, node: str, question: Erlang, what: str, *, timeout: float = 60) -> Any:
    """Return the value of an expression on a node, which ``rabbit_json`` encodes there.

    ``question`` has no full stop. It must change nothing, as it may be evaluated twice. ``what``
    names the answer in an error.

    Raise CommandError if the node's broker does not answer, UnreachableError if the node does not,
    and RunError for an answer that is not JSON.
    """
    script = _script(question, fleet.nodes[node].broker, fleet.patience, timeout)
    try:
        answer = fleet.run(node, script, timeout=timeout).stdout
    except CommandError as error:
        raise CommandError(f"cannot ask for {what}: {error.message}", node=node) from error
    try:
        return json.loads(base64.b64decode("".join(_PIECE.findall(answer)), validate=True))
    except (ValueError, RecursionError) as error:
        raise not_understood(node, what, answer) from error


def decoded_name(told: str) -> str:
    """Return a name that came in Base64. Bytes that are not UTF-8 become surrogates."""
    return base64.b64decode(told, validate=True).decode("utf-8", "surrogateescape")


@contextmanager
def understood(node: str, what: str) -> Iterator[None]:
    """Raise RunError if an answer lacks what is read from it."""
    try:
        yield
    except MALFORMED as error:
        raise not_understood(node, what, f"{type(error).__name__}: {error}") from error


def not_understood(node: str, what: str, answer: str) -> RunError:
    """Return the error for an answer that lacks what is read from it."""
    return RunError(f"cannot read {what} from RabbitMQ's answer: {shown(answer)}", node=node)


def _script(question: Erlang, name: str | None, patience: float, timeout: float) -> str:
    """Return the shell script that asks. Without the Erlang name, only ``rabbitmqctl`` can ask."""
    code = shlex.quote(f"binary_to_list(base64:encode(rabbit_json:encode({question.code}))).")
    by_rabbitmqctl = f"exec rabbitmqctl --quiet eval {code}"
    if name is None:
        return by_rabbitmqctl
    by_erl_call = _BY_ERL_CALL.substitute(
        code=code,
        name=shlex.quote(name),
        kind="-name" if "." in name.partition("@")[2] else "-sname",
        connect_s=round(_CONNECT_S * patience),
        timeout_s=round(timeout * patience),
    )
    return by_erl_call + by_rabbitmqctl
