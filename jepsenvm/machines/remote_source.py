"""The source of the programs in ``machines.remote``, in the form in which it is sent to a host."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

_IMPORT: Final = re.compile(
    r"^from jepsenvm\.machines\.remote\.(\w+) import [\w, ]+\n", re.MULTILINE
)
_FUTURE: Final = "from __future__ import annotations\n"


def source(program: str) -> str:
    """Return the source of a program with its imports from ``machines.remote`` inlined.

    A host has no jepsenvm, so it must get one self-contained text.
    """

    def inlined(match: re.Match[str]) -> str:
        return _read(match[1]).replace(_FUTURE, "")

    return _IMPORT.sub(inlined, _read(program))


def _read(program: str) -> str:
    return files("jepsenvm.machines.remote").joinpath(f"{program}.py").read_text()
