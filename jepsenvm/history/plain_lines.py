"""Lines of EDN that are one plain op each, read in columns.

A history of Jepsen is mostly lines such as ``{:type :ok, :f :read, :value 3, :process 0, :time 7}``
with the same keys in the same order. One regular expression of Arrow reads thousands of them at
once. It takes only lines that cannot mean anything else; ``edn`` reads all others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jepsenvm.history import edn
from jepsenvm.history.op import TYPES

BLOCK_CHARACTERS: Final = 1 << 20
"""Lines of about this length are read at once."""

MOST_OTHERS: Final = 0.25
"""If more of the lines of a block are not plain, reading it in columns is not worth the effort."""

_INTEGER: Final = "(?:0|-?[1-9][0-9]{0,17})"
_NUMBER: Final = f"(?:nil|{_INTEGER})"
_NAME: Final = ":[a-zA-Z][a-zA-Z0-9_-]*"
_PATTERNS: Final[Mapping[str, str]] = {
    "type": f":(?P<type>{'|'.join(TYPES)})",
    "f": f"(?P<f>{_NAME})",
    "value": rf"(?P<value>{_NUMBER}|true|false|{_NAME}|\[{_NUMBER}(?:[ ,]+{_NUMBER})*\])",
    "process": "(?P<process>0|[1-9][0-9]{0,17})",
    "time": f"(?P<time>{_INTEGER})",
    "node": r'"(?P<node>[^"\\]*)"',
    "index": _INTEGER,
}
"""What a key's value looks like. Integers of 18 digits fit into 64 bits."""

_REQUIRED: Final = ("type", "f", "value", "process", "time")
_KEYS: Final = re.compile(r"[{ ,]:(\w+) ", re.ASCII)


@dataclass(frozen=True)
class Coded:
    """A column of texts: each different text once, the first first, and the code of each row."""

    texts: Sequence[str]
    codes: npt.NDArray[np.int64]

    def rows(self, rows: slice) -> Coded:
        """Return the column of some rows."""
        return Coded(self.texts, self.codes[rows])


@dataclass(frozen=True)
class PlainRows:
    """Ops of consecutive lines in columns of the same length."""

    end: int
    """The index in the text after the lines."""
    type: npt.NDArray[np.int64]
    f: Coded
    value: Coded
    process: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]
    node: Coded | None = None
    """None if no op has a node."""

    def __len__(self) -> int:
        return len(self.time)


def value_of(text: str) -> Any:
    """Return the value of a text in the column ``value``."""
    return int(text) if text.removeprefix("-").isdigit() else edn.read(text)


class PlainLines:
    """The plain lines of a text."""

    def __init__(self, text: str) -> None:
        """Read nothing yet."""
        self._text = text
        self._block: _Block | None = None
        self._end = 0
        """The index after the lines that were tried."""

    def at(self, position: int) -> PlainRows | None:
        """Return the plain lines that begin at a position, or None if there are none.

        Nothing may be open at the position: neither a map nor a string.
        """
        if position and self._text[position - 1] != "\n":
            return None
        if position >= self._end:
            self._try_block(position)
        return self._block.at(position) if self._block else None

    def _try_block(self, position: int) -> None:
        self._block = None
        pattern = _pattern(self._line(position))
        if pattern is None:
            return
        newline = self._text.find("\n", position + BLOCK_CHARACTERS)
        self._end = newline + 1 if newline >= 0 else len(self._text)
        block = _Block(self._text[position : self._end], position, pattern)
        if block.others <= MOST_OTHERS:
            self._block = block

    def _line(self, position: int) -> str:
        newline = self._text.find("\n", position)
        return self._text[position : newline if newline >= 0 else None]


def _pattern(line: str) -> str | None:
    """Return the expression for lines with the keys of this one, or None if it is not plain."""
    keys = tuple(_KEYS.findall(line))
    if not keys:
        return None
    return _pattern_of_keys(keys, ", " if f", :{keys[-1]} " in line else " ")


@lru_cache(maxsize=100)
def _pattern_of_keys(keys: tuple[str, ...], between: str) -> str | None:
    known = set(keys) <= _PATTERNS.keys() and set(keys) >= set(_REQUIRED)
    if not known or len(set(keys)) < len(keys):
        return None
    entries = between.join(f":{key} {_PATTERNS[key]}" for key in keys)
    return rf"^(?:#jepsen\.history\.Op *)?\{{{entries}\}}$"


class _Block:
    """Consecutive lines of a text, matched with an expression."""

    def __init__(self, text: str, position: int, pattern: str) -> None:
        import pyarrow.compute as pc  # noqa: PLC0415 - it takes long to import

        lines = pc.split_pattern(pa.array([text.removesuffix("\n")]), "\n").flatten()
        ends = np.cumsum(pc.utf8_length(lines).to_numpy().astype(np.int64) + 1) + position
        self._starts = np.concatenate([[position], ends])
        matched = pc.extract_regex(lines, pattern)
        plain = matched.is_valid()
        texts: dict[str, pa.Array] = {
            field.name: pc.if_else(plain, matched.field(index), "0")
            for index, field in enumerate(matched.type)
        }
        # A drain with values stands for several ops.
        drained = pc.and_(pc.equal(texts["f"], ":drain"), pc.starts_with(texts["value"], "["))
        is_plain = pc.and_not(plain, drained).to_numpy(zero_copy_only=False)
        self.others = 1 - is_plain.mean()
        """The share of the lines that are not plain."""
        # The end counts as a line that is not plain.
        self._not_plain = np.append(np.flatnonzero(~is_plain), len(is_plain))
        coded = {name: _coded(texts[name]) for name in ("f", "value", "node") if name in texts}
        self._columns = {
            "type": _types(_coded(texts["type"])),
            "f": coded["f"],
            "value": coded["value"],
            "process": texts["process"].cast(pa.int64()).to_numpy(),
            "time": texts["time"].cast(pa.int64()).to_numpy(),
            "node": coded.get("node"),
        }

    def at(self, position: int) -> PlainRows | None:
        """Return the plain lines from a position on, up to the next line that is not plain."""
        first = int(np.searchsorted(self._starts, position))
        if first == len(self._starts) or self._starts[first] != position:
            return None
        end = int(self._not_plain[np.searchsorted(self._not_plain, first)])
        if end <= first:
            return None
        rows = slice(first, end)
        columns: dict[str, Any] = {
            name: column.rows(rows) if isinstance(column, Coded) else column[rows]
            for name, column in self._columns.items()
            if column is not None
        }
        return PlainRows(int(self._starts[end]), **columns)


def _coded(texts: pa.Array) -> Coded:
    encoded = texts.dictionary_encode()
    return Coded(encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64))


def _types(names: Coded) -> npt.NDArray[np.int64]:
    codes = [TYPES.index(name) if name in TYPES else -1 for name in names.texts]
    return np.array(codes, dtype=np.int64)[names.codes]
