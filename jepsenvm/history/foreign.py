"""Histories that others wrote: Jepsen's EDN and JSON lines, read into ops; every problem names its line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError
from jepsenvm.history import edn
from jepsenvm.history.op import NEMESIS, TYPES, Op
from jepsenvm.history.table import History, from_ops, open_arrow

EDN_IN_JSON: Final = "jepsenvm/edn"
"""The one key of an object that stands in JSON for a value that JSON has no form for: its EDN text."""


def open_history(path: Path) -> History:
    """Return the history in a file, by its ending: .arrow (ours), .jsonl or .json (JSON lines), .edn (Jepsen's).

    Raises UsageError, naming the line, when it cannot be read.
    """
    readers: Mapping[str, Callable[[Path], History]] = {
        ".arrow": open_arrow,
        ".jsonl": read_jsonl,
        ".json": read_jsonl,
        ".edn": read_edn,
    }
    if path.suffix not in readers:
        raise UsageError(
            f"{path}: unknown kind of history",
            remedy=f"known endings: {', '.join(sorted(readers))}",
        )
    return readers[path.suffix](path)


def read_jsonl(path: Path) -> History:
    """Return a history of one JSON object a line; one whose last line is unfinished was cut short."""
    cut_short: list[int] = []
    history = from_ops(_jsonl_ops(path, cut_short))
    history.complete = not cut_short
    return history


def _jsonl_ops(path: Path, cut_short: list[int]) -> Iterator[Op]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            entry = _DECODER.decode(line)
        except json.JSONDecodeError as problem:
            if not line.endswith("\n"):
                cut_short.append(number)  # its writer was cut off in the middle of this line
                return
            raise UsageError(f"{path}:{number}: not JSON: {problem}") from None
        except edn.NotEdn as problem:
            raise UsageError(f"{path}:{number}: not EDN: {problem}") from None
        try:
            yield _op(entry)
        except UsageError as problem:
            raise UsageError(f"{path}:{number}: {problem.message}", remedy=problem.remedy) from None


def _from_json(entry: dict[str, Any]) -> Any:
    if entry.keys() == {EDN_IN_JSON}:
        return edn.read(str(entry[EDN_IN_JSON]))
    return entry


_DECODER: Final = json.JSONDecoder(object_hook=_from_json)


def read_edn(path: Path) -> History:
    """Return a history in EDN: one map a line, or one vector of maps."""
    return from_ops(_edn_ops(path))


def _edn_ops(path: Path) -> Iterator[Op]:
    text = "".join(_lines(path))

    def place(position: int) -> str:
        return f"{path}:{text.count(chr(10), 0, position) + 1}"

    try:
        for form, position in edn.elements(text):
            try:
                yield _op(_plain_keys(form))
            except UsageError as problem:
                raise UsageError(
                    f"{place(position)}: {problem.message}", remedy=problem.remedy
                ) from None
    except edn.NotEdn as problem:
        raise UsageError(f"{place(problem.position)}: not EDN: {problem}") from None


def _plain_keys(form: Any) -> Any:
    """Return an op's map with names for keys: the colon of keywords is gone."""
    return {_key(key): value for key, value in form.items()} if isinstance(form, dict) else form


@lru_cache(maxsize=1000)
def _key(key: Any) -> str:
    return str(key).removeprefix(":")


def _op(entry: Any) -> Op:
    """Return one entry as an op; only its type and f cannot be done without."""
    if not isinstance(entry, dict):
        raise UsageError(f"an op is a map, found {entry!r}")
    type_ = _name(entry.get("type"))
    if type_ not in TYPES:
        raise UsageError(f"the key 'type' must be one of {', '.join(TYPES)}, found {type_!r}")
    if entry.get("f") is None:
        raise UsageError("the key 'f' is missing", remedy="give each op its :f, such as :enqueue")
    process, time, offset = entry.get("process"), entry.get("time"), entry.get("offset")
    node, error = entry.get("node"), entry.get("error")
    return Op(
        type=type_,
        f=_name(entry["f"]),
        value=entry.get("value"),
        process=_long(process, "process") if isinstance(process, int) else NEMESIS,
        time=_long(time, "time") if isinstance(time, int | float) else 0,
        node=node if node is None or type(node) is str else _name(node),
        error=error if error is None or type(error) is str else edn.written(error),
        data=entry.get("data"),
        offset=_long(offset, "offset") if isinstance(offset, int) else None,
    )


def _long(value: float, key: str) -> int:
    try:
        if -(2**63) <= (whole := int(value)) < 2**63:
            return whole
    except (ValueError, OverflowError):  # a float that is no number, or infinite
        pass
    raise UsageError(f"the key '{key}' must be a number of 64 bits")


def _name(value: Any) -> str:
    return _key(value) if isinstance(value, str) else str(value) if value is not None else ""


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file. Only a line feed ends one: JSON and EDN strings may have Unicode's other ends."""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from file
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path}: not UTF-8 text: {problem}") from None
