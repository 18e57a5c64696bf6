"""The library of scenarios: the YAML files beside this module."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from jepsenvm.errors import UsageError, shorten
from jepsenvm.scenarios.reading import read_scenario
from jepsenvm.scenarios.scenario import Scenario

LIBRARY: Final = Path(__file__).parent
SUFFIX: Final = ".yml"


def names() -> list[str]:
    """Return the names of the library's scenarios in alphabetical order."""
    return sorted(path.stem for path in LIBRARY.glob(f"*{SUFFIX}"))


def scenarios() -> list[Scenario]:
    """Return the library's scenarios in the order of their names."""
    return [read_scenario(LIBRARY / f"{name}{SUFFIX}") for name in names()]


def find(word: str) -> Scenario:
    """Return the scenario of a name in the library, or of a file whose path ends with ``.yml``."""
    if word.endswith((SUFFIX, ".yaml")):
        return read_scenario(Path(word))
    known = names()
    if word not in known:
        similar = get_close_matches(word, known, n=1)
        remedy = f"did you mean {similar[0]}?" if similar else "see `jepsenvm scenario list`"
        raise UsageError(f"there is no scenario {shorten(word)!r}", remedy=remedy)
    return read_scenario(LIBRARY / f"{word}{SUFFIX}")
