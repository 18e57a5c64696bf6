"""Open a history file: jepsenvm's own journal, Jepsen's EDN, JSON lines, or a JSON array.

Every error names the file and the line.
"""

from __future__ import annotations

import codecs
import io
import json
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, shorten, shown
from jepsenvm.history import edn
from jepsenvm.history.nemesis_records import ABOUT, ENDED
from jepsenvm.history.op import NEMESIS, NO_PROCESS, TYPES, Op
from jepsenvm.history.plain_lines import PlainLines, PlainRows
from jepsenvm.history.segments import open_journal
from jepsenvm.history.table import History, from_ops

EDN_IN_JSON: Final = "jepsenvm/edn"
"""In JSON lines, an object with only this key stands for a value that JSON cannot represent.

The key's value is the EDN text of that value.
"""


GZIP: Final = b"\x1f\x8b"


def open_history(path: Path) -> History:
    """Return the history in a file; the file's ending selects the format.

    ``.arrow`` is a journal of jepsenvm, ``.edn`` a history of Jepsen, ``.jsonl`` and ``.json`` are
    JSON lines or one JSON array.

    Raises UsageError, with the line where there is one, if the file cannot be read.
    """
    readers: Mapping[str, Callable[[Path], History]] = {
        ".arrow": open_journal,
        ".jsonl": read_json,
        ".json": read_json,
        ".edn": read_edn,
    }
    if path.suffix not in readers:
        raise UsageError(
            f"{path}: unknown kind of history",
            remedy=_REMEDIES.get(path.suffix) or f"known endings: {', '.join(sorted(readers))}",
        )
    _require_file(path)
    return readers[path.suffix](path)


_REMEDIES: Final = {
    ".txt": "Jepsen writes the same history as history.edn; check that file",
    ".gz": "unpack it first, as with gunzip",
}
"""What to do instead, for files that jepsenvm does not read."""


def _require_file(path: Path) -> None:
    """Raise UsageError unless the path is a regular file: reading others may never end."""
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from None
    if not is_file:
        raise UsageError(f"{path}: not a file", remedy="give the file of a history")


def read_json(path: Path) -> History:
    """Return a history of one JSON object per line, or of one array of them.

    An unfinished last line, or an array that is never closed, means that it was cut short. Raises
    UsageError with the line if the file cannot be read.
    """
    content = _text(path)
    elements = _array_elements if content.lstrip().startswith("[") else _line_elements
    return _history(lambda noticed: elements(path, content, noticed))


def _line_elements(path: Path, content: str, noticed: Noticed) -> Iterator[tuple[Any, str]]:
    # Only a line feed ends a line. JSON strings may contain U+2028 and other characters that
    # Python's ``splitlines`` takes for line ends.
    for number, line in enumerate(io.StringIO(content, newline="\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            yield _DECODER.decode(line), where
        except json.JSONDecodeError as problem:
            if not line.endswith("\n"):
                # Only the last line lacks a line feed: its writer died while it wrote this line.
                noticed.cut_short = True
                return
            raise UsageError(f"{where}: not JSON: {problem}") from None
        except (ValueError, RecursionError) as problem:
            raise UsageError(f"{where}: {_json_problem(problem)}") from None


_BETWEEN: Final = re.compile(r"[\s]*,?[\s]*")


def _array_elements(path: Path, content: str, noticed: Noticed) -> Iterator[tuple[Any, str]]:
    position = content.index("[") + 1
    for number in count(1):
        between = _BETWEEN.match(content, position)
        position = between.end() if between else position
        if content[position : position + 1] == "]":
            if content[position + 1 :].strip():
                raise UsageError(f"{path}: there is text after the array of ops")
            return
        where = f"{path}: op {number:,}"
        try:
            element, position = _DECODER.raw_decode(content, position)
        except json.JSONDecodeError as problem:
            if number > 1 and _is_unfinished(content, problem):
                noticed.cut_short = True
                return
            raise UsageError(f"{where}: not JSON: {problem}") from None
        except (ValueError, RecursionError) as problem:
            raise UsageError(f"{where}: {_json_problem(problem)}") from None
        yield element, where


def _is_unfinished(content: str, problem: json.JSONDecodeError) -> bool:
    """Return whether a text of JSON ends too early, rather than being wrong before its end."""
    return problem.pos >= len(content.rstrip()) or problem.msg.startswith("Unterminated string")


def _json_problem(problem: Exception) -> str:
    if isinstance(problem, RecursionError):
        return "the JSON is nested too deeply"
    if isinstance(problem, edn.EdnError):
        return f"not EDN: {shorten(problem, MESSAGE_CHARACTERS)}"
    return f"not JSON: {shorten(problem, MESSAGE_CHARACTERS)}"


def _from_json(pairs: list[tuple[str, Any]]) -> Any:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        raise ValueError("an object has a key twice")
    if entry.keys() == {EDN_IN_JSON}:
        return edn.read(str(entry[EDN_IN_JSON]))
    return entry


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_from_json)


def read_edn(path: Path) -> History:
    """Return a history in EDN: one map per line, or one vector of maps.

    A last form that is not finished means that the history was cut short. Raises UsageError with
    the line if the file cannot be read.
    """
    content = _text(path)
    return _history(lambda noticed: _edn_elements(path, content, noticed))


def _edn_elements(path: Path, content: str, noticed: Noticed) -> Iterator[tuple[Any, str]]:
    lines_before = position_before = 0

    def file_and_line(position: int) -> str:
        nonlocal lines_before, position_before
        lines_before += content.count("\n", position_before, position)
        position_before = position
        return f"{path}:{lines_before + 1}"

    ops = 0
    try:
        for form, position in edn.elements(content, PlainLines(content).at):
            yield _with_plain_keys(form), file_and_line(position)
            ops += 1
    except edn.UnfinishedError as problem:
        if not ops:
            where = file_and_line(problem.position)
            raise UsageError(f"{where}: not EDN: {problem}") from None
        noticed.cut_short = True
    except edn.EdnError as problem:
        lines = content.count("\n", 0, problem.position)
        raise UsageError(
            f"{path}:{lines + 1}: not EDN: {shorten(problem, MESSAGE_CHARACTERS)}"
        ) from None


def _with_plain_keys(form: Any) -> Any:
    """Return an op's map with strings for keys: ``:type`` becomes ``type``."""
    if not isinstance(form, dict):
        return form
    return {_without_colon(key): value for key, value in form.items()}


@lru_cache(maxsize=1000)  # a history repeats a few names in every op
def _without_colon(key: Any) -> str:
    return str(key).removeprefix(":")


MESSAGE_CHARACTERS: Final = 200

NEEDS_VALUE: Final = frozenset(
    {
        ("invoke", "enqueue"),
        ("ok", "enqueue"),
        ("ok", "dequeue"),
        ("invoke", "add"),
        ("ok", "add"),
        ("invoke", "write"),
        ("invoke", "cas"),
        ("ok", "read"),
    }
)
"""Types and names of ops that mean nothing without a key ``value``, which may be nil."""


@dataclass
class Noticed:
    """What is noticed about a history while its ops are read."""

    cut_short: bool = False
    ops: int = 0
    without_value: Counter[str] = field(default_factory=Counter)
    about: Any = None
    """What an export of jepsenvm says about its history; None for other files."""
    ended: Any = None
    """The number of ops that the last op of an export gives."""
    damage: str | None = None

    def op(self, entry: Any) -> Op | PlainRows:
        """Return an entry as an op, or plain rows as they are; raise UsageError if it is none."""
        if isinstance(entry, PlainRows):
            self._notice_marks({})
            self.ops += len(entry)
            return entry
        op = _op(entry)
        self._notice_marks(entry)
        self.ops += 1
        if (op.type, op.f) in NEEDS_VALUE and "value" not in entry:
            self.without_value[op.f] += 1
        return op

    def _notice_marks(self, entry: Mapping[str, Any]) -> None:
        if self.ended is not None:
            self.damage = "more ops follow the last op of an export"
        if ABOUT in entry:
            if self.ops:
                self.damage = "the first op of an export comes after other ops"
            self.about = _with_plain_keys(entry[ABOUT])
        if ENDED in entry:
            self.ended = entry[ENDED]
            if self.ended != self.ops + 1:
                self.damage = f"it has {self.ops + 1:,} of {shown(self.ended)} exported ops"

    def complete(self, history: History) -> History:
        """Return the history with what was noticed about it."""
        about = self.about if isinstance(self.about, dict) else {}
        plan, exported_damage = about.get("plan"), about.get("damage")
        damage = self.damage or (None if exported_damage is None else str(exported_damage))
        unended = self.about is not None and self.ended is None
        doubts = [
            f"{count:,} {name} {'op has' if count == 1 else 'ops have'} no value"
            for name, count in sorted(self.without_value.items())
        ]
        return replace(
            history,
            complete=not (self.cut_short or unended or damage),
            damage=damage,
            plan=plan if isinstance(plan, str) else None,
            doubts=tuple(doubts),
        )


def _history(elements: Callable[[Noticed], Iterator[tuple[Any, str]]]) -> History:
    """Return the history of the entries of a file; each comes with its place in the file."""
    noticed = Noticed()

    def ops() -> Iterator[Op | PlainRows]:
        for entry, where in elements(noticed):
            try:
                yield noticed.op(entry)
            except UsageError as problem:
                raise UsageError(f"{where}: {problem.message}", remedy=problem.remedy) from None

    return noticed.complete(from_ops(ops()))


def _op(entry: Any) -> Op:
    """Return one entry as an op. Only its type and f are required."""
    if not isinstance(entry, dict):
        raise UsageError(f"an op is a map, found {shown(entry)}")
    type_ = _name(entry.get("type"))
    if type_ not in TYPES:
        raise UsageError(f"the key 'type' must be one of {', '.join(TYPES)}, found {shown(type_)}")
    f = entry.get("f")
    if f is None:
        raise UsageError("the key 'f' is missing", remedy="give each op its :f, such as :enqueue")
    if isinstance(f, edn.Tagged | list | dict | frozenset):
        raise UsageError(f"the key 'f' must be a keyword or a string, found {shown(f)}")
    time, offset = entry.get("time"), entry.get("offset")
    node, error = entry.get("node"), entry.get("error")
    for key in ("value", "error", "data", "node"):
        _require_shallow(entry.get(key), key)
    return Op(
        type=type_,
        f=_name(f),
        value=entry.get("value"),
        process=_process(entry.get("process")),
        time=_int64(time, "time") if isinstance(time, int | float) else 0,
        node=node if node is None or type(node) is str else _name(node),
        error=error if error is None or type(error) is str else edn.written(error),
        data=entry.get("data"),
        offset=_int64(offset, "offset") if isinstance(offset, int) else None,
    )


def _process(process: Any) -> int:
    """Return the number of a process.

    Only ``:nemesis`` is the nemesis: an op whose process is misspelt must not be taken for its op.
    """
    if type(process) is int:
        number = _int64(process, "process")
        return number if number >= 0 else NO_PROCESS
    return NEMESIS if isinstance(process, str) and _name(process) == "nemesis" else NO_PROCESS


def _require_shallow(value: Any, key: str) -> None:
    """Raise UsageError if a value is nested so deeply that Python's stack may not suffice."""
    level = [value]
    for _ in range(edn.MOST_DEPTH):
        level = [
            content
            for container in level
            if isinstance(container, list | tuple | dict | frozenset | edn.Tagged)
            for content in _contents(container)
        ]
        if not level:
            return
    raise UsageError(f"the key '{key}' is nested more than {edn.MOST_DEPTH} deep")


def _contents(container: Any) -> Iterable[Any]:
    if isinstance(container, edn.Tagged):
        return (container.form,)
    if isinstance(container, dict):
        return (*container, *container.values())
    contents: Iterable[Any] = container
    return contents


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
    if value is None:
        return ""
    try:
        return str(value)
    except RecursionError:
        raise UsageError("a name is nested too deeply") from None


def _text(path: Path) -> str:
    """Return the text of a file, without a byte order mark."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from None
    if content.startswith(GZIP):
        raise UsageError(f"{path}: compressed", remedy=_REMEDIES[".gz"])
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as problem:
        if problem.reason == "unexpected end of data" and problem.end == len(content):
            # The file was cut within a character.
            return content[: problem.start].decode()
        raise UsageError(f"{path}: not UTF-8 text: {shorten(problem, 200)}") from None
