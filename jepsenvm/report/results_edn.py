"""Results in the shape of Jepsen's ``results.edn``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from jepsenvm.checkers.verdict import Result, Results, Verdict
from jepsenvm.history import edn
from jepsenvm.history.edn import Keyword

VALID: Final[Mapping[Verdict, bool | Keyword]] = {
    Verdict.VALID: True,
    Verdict.INVALID: False,
    Verdict.UNKNOWN: Keyword(":unknown"),
}


def results_edn(results: Results) -> str:
    """Return a map with ``:valid?``, the reasons, and a map with ``:valid?`` for each checker.

    The keys of a map are keywords if each of them can be one, and else strings.
    """
    lines = [
        f":valid? {edn.written(VALID[results.verdict])}",
        f":reasons {edn.written(list(results.reasons))}",
        *_checkers(results.checkers),
    ]
    body = ",\n ".join(lines)
    return f"{{{body}}}\n"


def _checkers(checkers: Mapping[str, Result]) -> Iterator[str]:
    for name, result in checkers.items():
        figures = result.as_data()
        del figures["verdict"]
        entry = {Keyword(":valid?"): VALID[result.verdict], **_with_keywords(figures)}
        yield f"{edn.keyword(name)} {edn.written(entry)}"


def _with_keywords(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_keywords(element) for element in value]
    if not isinstance(value, dict):
        return value
    # A map of nodes or of messages may have other keys. A mixture of both would help nobody.
    all_fit = all(edn.keyword(key) == f":{key}" for key in value)
    return {
        Keyword(f":{key}") if all_fit else key: _with_keywords(content)
        for key, content in value.items()
    }
