"""Histories that others wrote: Jepsen's EDN and JSON lines, read into ops; every problem names its line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import edn_format

from jepsenvm.errors import Refused
from jepsenvm.history.op import NEMESIS, TYPES, Op
from jepsenvm.history.table import History, from_ops, open_arrow

# Jepsen 0.3 prints its ops as records of this name when it is asked to; they are maps all the same.
edn_format.add_tag("jepsen.history.Op", lambda content: content)


def open_history(path: Path) -> History:
    """Return the history in a file, by its ending: .arrow (ours), .jsonl or .json (JSON lines), .edn (Jepsen's).

    Raises Refused, naming the line, when it cannot be read.
    """
    readers: Mapping[str, Callable[[Path], History]] = {
        ".arrow": open_arrow,
        ".jsonl": read_jsonl,
        ".json": read_jsonl,
        ".edn": read_edn,
    }
    if path.suffix not in readers:
        raise Refused(f"{path}: unknown kind of history", remedy=f"known endings: {', '.join(sorted(readers))}")
    return readers[path.suffix](path)


def read_jsonl(path: Path) -> History:
    """Return a history of one JSON object a line."""
    lines = _text(path).splitlines(keepends=True)
    ops: list[Op] = []
    complete = True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as problem:
            if number == len(lines) and not line.endswith("\n"):
                complete = False  # its writer was cut off in the middle of this line
                break
            raise Refused(f"{path}:{number}: not JSON: {problem}") from None
        ops.append(_op(entry, f"{path}:{number}"))
    return from_ops(ops, complete=complete)


def read_edn(path: Path) -> History:
    """Return a history in EDN: one map a line, or one vector of maps."""
    text = _text(path)
    if text.lstrip().startswith(("[", "(")):
        ops = [_op(_plain(entry), f"{path}: op {number}") for number, entry in enumerate(_one_vector(text, path), 1)]
        return from_ops(ops)
    return from_ops(_op(_plain(entry), where) for entry, where in _line_entries(text, path))


def _one_vector(text: str, path: Path) -> list[Any]:
    forms = _forms(text, str(path))
    if len(forms) != 1:
        raise Refused(f"{path}: holds {len(forms)} EDN forms", remedy="give one vector of ops, or one map a line")
    return list(forms[0])


def _line_entries(text: str, path: Path) -> Iterator[tuple[Any, str]]:
    """Yield the maps with their places. A map usually ends with its line; where it does not, lines are joined."""
    pending, began = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if not pending:
            began = number
        pending += line + "\n"
        if pending.count("{") > pending.count("}"):
            continue
        for form in _forms(pending, f"{path}:{began}"):
            yield form, f"{path}:{began}"
        pending = ""
    if pending.strip():
        for form in _forms(pending, f"{path}:{began}"):
            yield form, f"{path}:{began}"


def _forms(text: str, where: str) -> list[Any]:
    if not text.strip():
        return []
    try:
        return list(edn_format.loads_all(text))
    # NotImplementedError for a tag that it does not know, and its own kinds for the rest.
    except (edn_format.exceptions.EDNDecodeError, NotImplementedError, ValueError) as problem:
        raise Refused(f"{where}: not EDN: {problem}") from None


class Keyword(str):
    """An EDN keyword: prints as :name, and its type keeps it apart from the string ":name"."""

    __slots__ = ()


def _plain(form: Any) -> Any:
    """Return an EDN form with its keys as plain strings and its keywords as Keyword."""
    if isinstance(form, edn_format.Keyword):
        return Keyword(f":{form.name}")
    if isinstance(form, edn_format.ImmutableDict | dict):
        return {str(_plain(key)).removeprefix(":"): _plain(value) for key, value in form.items()}
    if isinstance(form, edn_format.ImmutableList | list | tuple):
        return [_plain(element) for element in form]
    return form


def _op(entry: Any, where: str) -> Op:
    """Return one entry as an op; only its type and f cannot be done without."""
    if not isinstance(entry, dict):
        raise Refused(f"{where}: an op is a map, found {entry!r}")
    type_ = _name(entry.get("type"))
    if type_ not in TYPES:
        raise Refused(f"{where}: the key 'type' must be one of {', '.join(TYPES)}, found {type_!r}")
    if entry.get("f") is None:
        raise Refused(f"{where}: the key 'f' is missing", remedy="give each op its :f, such as :enqueue")
    process, time = entry.get("process"), entry.get("time")
    return Op(
        type=type_,
        f=_name(entry["f"]),
        value=entry.get("value"),
        process=process if isinstance(process, int) else NEMESIS,
        time=int(time) if isinstance(time, int | float) else 0,
        node=None if entry.get("node") is None else _name(entry["node"]),
        error=None if entry.get("error") is None else str(entry["error"]),
        data=entry.get("data"),
        offset=entry["offset"] if isinstance(entry.get("offset"), int) else None,
    )


def _name(value: Any) -> str:
    return str(value).removeprefix(":") if value is not None else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise Refused(f"{path}: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise Refused(f"{path}: not UTF-8 text: {problem}") from None
