"""What the verdict of a changed history may be, decided without jepsenvm's readers and checkers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import edn_format
import pyarrow as pa

from jepsenvm.history.op import TYPES

VALID, INVALID, UNKNOWN = "valid", "invalid", "unknown"
ANY: Final = frozenset((VALID, INVALID, UNKNOWN))

Entry = Mapping[str, Any]


def allowed_for(workload: str, entries: Sequence[Entry] | None) -> frozenset[str]:
    """Return the verdicts that a history of another program may get.

    ``entries`` are its ops as plain maps, None if only jepsenvm's readers understand the text.
    Every verdict is allowed wherever the definition leaves a doubt.
    """
    if entries is None or workload not in _DEFINITIONS or not all(map(_is_plain, entries)):
        return ANY
    definition, names = _DEFINITIONS[workload]
    clients = [entry for entry in entries if entry["process"] != "nemesis"]
    if any(entry["f"] not in names for entry in clients):
        return ANY - {VALID}
    return definition(clients)


def _is_plain(entry: Entry) -> bool:
    """Return whether every reader understands an op in the same way."""
    process = entry.get("process")
    return (
        entry.get("type") in TYPES
        and isinstance(entry.get("f"), str)
        and (process == "nemesis" or (type(process) is int and 0 <= process < 2**62))
        and all(map(_is_scalar, _elements(entry.get("value"))))
        and not any(key.startswith("jepsenvm") for key in entry)
    )


def _elements(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _is_scalar(value: Any) -> bool:
    return value is None or (type(value) is int and abs(value) < 2**62)


def _of_queue(ops: Sequence[Entry]) -> frozenset[str]:
    if not all(_is_scalar(op.get("value")) for op in ops if op["f"] != "drain"):
        return ANY
    attempted = Counter(_values(ops, "invoke", "enqueue"))
    acknowledged = Counter(_values(ops, "ok", "enqueue"))
    delivered = Counter(_values(ops, "ok", "dequeue"))
    drains = [op for op in ops if op["type"] == "ok" and op["f"] == "drain"]
    for drain in drains:
        delivered.update(_elements(drain.get("value") or []))
    if None in attempted or None in delivered or None in acknowledged:
        return ANY
    lost = acknowledged - delivered
    unexpected = [value for value in delivered if value not in attempted]
    if lost or unexpected or not acknowledged:
        return ANY - {VALID}
    return ANY - {INVALID}


def _of_set(ops: Sequence[Entry]) -> frozenset[str]:
    reads = [row for row, op in enumerate(ops) if (op["type"], op["f"]) == ("ok", "read")]
    adds = _values(ops, "ok", "add")
    if not reads or not adds:
        return ANY - {VALID}
    last = reads[-1]
    elements = ops[last].get("value")
    tried = [op.get("value") for op in ops if op["f"] == "add"]
    if not isinstance(elements, list) or not all(type(value) is int for value in elements + tried):
        return ANY
    attempted = set(_values(ops, "invoke", "add"))
    added_before = set(_values(ops[: reads[0]], "ok", "add"))
    if set(elements) - attempted:
        return ANY - {VALID}
    if len(reads) > 1 or added_before != set(adds):
        return ANY
    if added_before - set(elements):
        return ANY - {VALID}
    return ANY - {INVALID} if len(set(elements)) == len(elements) else ANY


def _values(ops: Sequence[Entry], type_: str, f: str) -> list[Any]:
    return [op.get("value") for op in ops if (op["type"], op["f"]) == (type_, f)]


_DEFINITIONS: Final[
    Mapping[str, tuple[Callable[[Sequence[Entry]], frozenset[str]], frozenset[str]]]
] = {
    "queue": (_of_queue, frozenset(("enqueue", "dequeue", "drain"))),
    "set": (_of_set, frozenset(("add", "read"))),
}


# Reading texts as plainly as possible. None stands for a text that this reading does not cover.


def entries_of(format_: str, data: bytes) -> list[Entry] | None:
    """Return the ops of a text as plain maps; None unless the text is plain throughout."""
    try:
        text = data.decode()
        entries = _READERS[format_](text)
    # edn_format raises errors of many types.
    except Exception:
        return None
    if not all(isinstance(entry, dict) for entry in entries):
        return None
    if any(not isinstance(key, str) for entry in entries for key in entry):
        return None
    return entries


def _json_lines(text: str) -> list[Any]:
    return [_json(line) for line in text.split("\n") if line.strip()]


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_without_repeated_keys)


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


def _edn(text: str) -> list[Any]:
    if len(text) > 20_000 or "#" in text or "\\" in text or ";" in text:
        raise ValueError("not plain")
    forms = edn_format.loads_all(text)
    if len(forms) == 1 and isinstance(forms[0], edn_format.ImmutableList):
        forms = list(forms[0])
    return [_plain_map(form) for form in forms]


def _plain_map(form: Any) -> dict[str, Any]:
    return {_plain(key): _plain(value) for key, value in form.items()}


def _plain(form: Any) -> Any:
    if isinstance(form, edn_format.Keyword):
        return str(form.name)
    if isinstance(form, edn_format.ImmutableList):
        return [_plain(element) for element in form]
    return form


_READERS: Final[Mapping[str, Callable[[str], list[Any]]]] = {
    "jsonl": _json_lines,
    "json": _json,
    "edn": _edn,
    "vector.edn": _edn,
}


def same_facts(original: bytes, changed: bytes) -> bool:
    """Return whether a changed journal holds the same rows as the original, and nothing else.

    Call it only after jepsenvm has read the changed journal: Arrow may crash on a damaged one.
    """
    try:
        return bool(_facts(original) == _facts(changed))
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return False


def _facts(data: bytes) -> Any:
    buffer = pa.BufferReader(data)
    reader = pa.ipc.open_stream(buffer)
    batches = list(reader)
    for batch in batches:
        batch.validate(full=True)
    rows = [row for batch in batches for row in batch.to_pylist()]
    return reader.schema, rows, len(data) - buffer.tell()
