"""Erlang expressions for ``rabbitmqctl eval``, with values that cannot become code.

Names of queues, virtual hosts and nodes come from brokers and inventories. An expression takes them
as values only, and renders them as Erlang terms.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from string import Template
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9 _.:@/-]*")
"""Text that an Erlang string may contain as it is."""

_ATOM: Final = re.compile(r"[A-Za-z0-9_.@-]{1,255}")

_CODE: Final = re.compile(r"[ -#%-\[\]-_a-~]*")
"""Printable ASCII without ``$``, backslash and backquote.

Debian's ``rabbitmqctl`` gives its arguments to a second shell, which interprets these three.
"""


@dataclass(frozen=True)
class Atom:
    """An Erlang atom: the name of a node or of a feature flag.

    Raise ValueError for unusual characters.
    """

    name: str

    def __post_init__(self) -> None:
        if not _ATOM.fullmatch(self.name):
            raise ValueError(f"not the name of an Erlang node: {self.name[:60]!r}")


class Erlang:
    """One Erlang expression.

    ``template`` is a constant of the program; a test checks that. It refers to values as ``$name``.
    A text becomes a binary in UTF-8, a number is written in decimal digits, and an Atom is quoted.
    The template may have several lines. Its own texts have no two spaces in a row.
    """

    def __init__(self, template: str, **values: str | int | Atom) -> None:
        terms = {name: _term(value) for name, value in values.items()}
        self.code: Final = Template(" ".join(template.split())).substitute(terms)
        if not _CODE.fullmatch(self.code):
            raise ValueError("an Erlang expression has a character that a shell could interpret")

    def __str__(self) -> str:
        return self.code

    def script(self, timeout: float = 30) -> str:
        """Return the shell command that evaluates it within ``timeout`` seconds on a node."""
        return f"timeout {timeout:.0f} rabbitmqctl --quiet eval {shlex.quote(self.code)}"


def _term(value: str | int | Atom) -> str:
    if isinstance(value, Atom):
        return f"'{value.name}'"
    if isinstance(value, int):
        return str(int(value))
    if _PLAIN.fullmatch(value):
        return f'<<"{value}">>'
    # Bytes that are not UTF-8 arrive as surrogates from a broker's answer.
    return f"<<{','.join(map(str, value.encode('utf-8', 'surrogateescape')))}>>"
