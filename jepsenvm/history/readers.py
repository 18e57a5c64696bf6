"""Open a history file: jepsenvm's own journal, Jepsen's EDN, or JSON lines.

Every error names the file and the line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, shown
from jepsenvm.history import edn
from jepsenvm.history.op import NEMESIS, TYPES, Op
from jepsenvm.history.segments import open_journal
from jepsenvm.history.table import History, from_ops

EDN_IN_JSON: Final = "jepsenvm/edn"
"""In JSON lines, an object with only this key stands for a value that JSON cannot represent.

The key's value is the EDN text of that value.
"""


def open_history(path: Path) -> History:
    """Return the history in a file; the file's ending selects the format.

    ``.arrow`` is a journal of jepsenvm, ``.edn`` a history of Jepsen, ``.jsonl`` and ``.json`` are
    JSON lines.

    Raises UsageError, with the line where there is one, if the file cannot be read.
    """
    readers: Mapping[str, Callable[[Path], History]] = {
        ".arrow": open_journal,
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
    """Return a history of one JSON object per line; an unfinished last line means it was cut short.

    Raises UsageError with the line if the file cannot be read.
    """
    unfinished_lines: list[int] = []
    history = from_ops(_jsonl_ops(path, unfinished_lines))
    history.complete = not unfinished_lines
    return history


def _jsonl_ops(path: Path, unfinished_lines: list[int]) -> Iterator[Op]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            entry = _DECODER.decode(line)
        except json.JSONDecodeError as problem:
            if not line.endswith("\n"):
                # Only the last line lacks a line feed: its writer died while it wrote this line.
                unfinished_lines.append(number)
                return
            raise UsageError(f"{path}:{number}: not JSON: {problem}") from None
        except edn.EdnError as problem:
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
    """Return a history in EDN: one map per line, or one vector of maps.

    Raises UsageError with the line if the file cannot be read.
    """
    return from_ops(_edn_ops(path))


def _edn_ops(path: Path) -> Iterator[Op]:
    text = "".join(_lines(path))

    def file_and_line(position: int) -> str:
        line_feeds = text.count("\n", 0, position)
        return f"{path}:{line_feeds + 1}"

    try:
        for form, position in edn.elements(text):
            try:
                yield _op(_with_plain_keys(form))
            except UsageError as problem:
                raise UsageError(
                    f"{file_and_line(position)}: {problem.message}", remedy=problem.remedy
                ) from None
    except edn.EdnError as problem:
        raise UsageError(f"{file_and_line(problem.position)}: not EDN: {problem}") from None


def _with_plain_keys(form: Any) -> Any:
    """Return an op's map with strings for keys: ``:type`` becomes ``type``."""
    if not isinstance(form, dict):
        return form
    return {_without_colon(key): value for key, value in form.items()}


@lru_cache(maxsize=1000)  # a history repeats a few names in every op
def _without_colon(key: Any) -> str:
    return str(key).removeprefix(":")


def _op(entry: Any) -> Op:
    """Return one entry as an op. Only its type and f are required."""
    if not isinstance(entry, dict):
        raise UsageError(f"an op is a map, found {shown(entry)}")
    type_ = _name(entry.get("type"))
    if type_ not in TYPES:
        raise UsageError(f"the key 'type' must be one of {', '.join(TYPES)}, found {shown(type_)}")
    if entry.get("f") is None:
        raise UsageError("the key 'f' is missing", remedy="give each op its :f, such as :enqueue")
    process, time, offset = entry.get("process"), entry.get("time"), entry.get("offset")
    node, error = entry.get("node"), entry.get("error")
    return Op(
        type=type_,
        f=_name(entry["f"]),
        value=entry.get("value"),
        process=_int64(process, "process") if isinstance(process, int) else NEMESIS,
        time=_int64(time, "time") if isinstance(time, int | float) else 0,
        node=node if node is None or type(node) is str else _name(node),
        error=error if error is None or type(error) is str else edn.written(error),
        data=entry.get("data"),
        offset=_int64(offset, "offset") if isinstance(offset, int) else None,
    )


def _int64(number: float, key: str) -> int:
    """Return a number as an integer; raise UsageError if it does not fit into 64 bits."""
    try:
        if -(2**63) <= (integer := int(number)) < 2**63:
            return integer
    except (ValueError, OverflowError):  # NaN or an infinite float
        pass
    raise UsageError(f"the key '{key}' must be a number of 64 bits")


def _name(value: Any) -> str:
    if isinstance(value, str):
        return _without_colon(value)
    return "" if value is None else str(value)


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file.

    Only a line feed ends a line. JSON and EDN strings may contain U+2028 and other characters that
    Python's ``splitlines`` takes for line ends.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from file
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path}: not UTF-8 text: {problem}") from None
