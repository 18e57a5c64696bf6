"""Sets and maps of EDN that edn_format reads as their elements, before Python merges equal ones.

In EDN, 1 and 1.0 are two elements of a set. Python finds them equal, and a set of edn_format keeps
one of them. So each set and map of a text is given to edn_format as a vector with a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import edn_format

SET: Final = "jepsenvm/set"
MAP: Final = "jepsenvm/map"
NAMESPACED_MAP: Final = "jepsenvm/namespaced-map"
TAGS: Final = (SET, MAP, NAMESPACED_MAP)
"""The tags of these vectors. No text may use them."""

_CLOSING: Final = {"[": "]", "(": ")", "{": "}"}
_SET_MARK: Final = re.compile("((?:#_)*)#")
_NAMESPACE: Final = re.compile("((?:#_)*)#:([^/]+)")


@dataclass(frozen=True)
class Unmerged:
    """The elements of a set, or the keys and values of a map in turns."""

    opening: Literal["#{", "{"]
    elements: Sequence[Any]


def unmerged(lexemes: Iterable[re.Match[str]], text: str) -> str:
    """Return a text with its sets and maps as vectors with tags; ``lexemes`` are its lexemes.

    A text with brackets that do not match is returned as it is: edn_format refuses it.
    """
    parts: list[str] = []
    closings: list[str] = []
    end = 0
    for lexeme in lexemes:
        parts += [text[end : lexeme.start()], lexeme[0]]
        end = lexeme.end()
        if lexeme[0] in _CLOSING:
            closings.append(_CLOSING[lexeme[0]])
            if lexeme[0] == "{":
                _open_vector(parts)
        elif lexeme[0] in _CLOSING.values():
            if not closings or closings.pop() != lexeme[0]:
                return text
            parts[-1] = lexeme[0].replace("}", "]")
    return text if closings else "".join([*parts, text[end:]])


def _open_vector(parts: list[str]) -> None:
    """Replace the brace at the end, and the mark of a set or a namespace before it."""
    before, blank = parts[-3] if len(parts) > 2 else "", parts[-2]
    if not blank and (mark := _SET_MARK.fullmatch(before)):
        parts[-3:] = [mark[1], f"#{SET} ["]
    elif mark := _NAMESPACE.fullmatch(before):
        parts[-3:] = [mark[1], f"#{NAMESPACED_MAP} [:{mark[2]} "]
    else:
        parts[-1] = f" #{MAP} ["


def _set(vector: Sequence[Any]) -> Unmerged:
    return Unmerged("#{", tuple(vector))


def _map(vector: Sequence[Any]) -> Unmerged:
    if len(vector) % 2:
        raise ValueError("a map has a key without a value")
    return Unmerged("{", tuple(vector))


def _namespaced_map(vector: Sequence[Any]) -> Unmerged:
    """Return a map such as ``#:a{:b 1}``; the vector begins with its namespace as a keyword."""
    namespace, *entries = vector
    entries[::2] = [_in_namespace(namespace.name, key) for key in entries[::2]]
    return _map(entries)


def _in_namespace(namespace: str, key: Any) -> Any:
    """Return a key of a map with a namespace: ``:_/b`` has none, and ``:c/b`` keeps its own."""
    if not isinstance(key, edn_format.Keyword) or (key.namespace and key.namespace != "_"):
        return key
    return key.with_namespace(None if key.namespace else namespace)


edn_format.add_tag(SET, _set)
edn_format.add_tag(MAP, _map)
edn_format.add_tag(NAMESPACED_MAP, _namespaced_map)
