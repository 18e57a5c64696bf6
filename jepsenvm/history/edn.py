"""EDN forms from and to text.

edn_format reads all of EDN, some thousand ops a second. What Jepsen writes is nearly always plain (maps, vectors and
sets of keywords, integers, strings, nil and booleans), and is read here by two regular expressions, twenty times
as fast; anything else is left to edn_format, form by form. Both ways give the same values:

a keyword is a ``Keyword``, a vector or list a list, a set a frozenset, a map a dict, a ratio a Fraction, a decimal
number a Decimal, a character an edn_format.Char. Where Python needs something hashable (an element of a set, a key of a
map), a vector is a tuple and a map stays edn_format's immutable one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

import edn_format
from edn_format.char import Char

# Jepsen 0.3 prints its ops as records of this name when it is asked to; they are maps all the same.
edn_format.add_tag("jepsen.history.Op", lambda content: content)


class NotEdn(ValueError):  # noqa: N818 - what the text is
    """The text is not EDN; ``position`` is where the form began that could not be read."""

    def __init__(self, problem: object, position: int) -> None:
        super().__init__(str(problem))
        self.position = position


class Keyword(str):
    """An EDN keyword: prints as :name, and its type keeps it apart from the string ":name"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def read(text: str) -> Any:
    """Return the one form of a text; raise NotEdn."""
    found = list(_forms(text, 0))
    if len(found) != 1:
        raise NotEdn(f"one form was expected, found {len(found)}", 0)
    return found[0][0]


def elements(text: str) -> Iterator[tuple[Any, int]]:
    """Yield the forms of a text, or the elements of the one vector that it is, each with the position where it began.

    Raises NotEdn.
    """
    start = _skip_blank(text, 0)
    closing = (
        _CLOSES.get(text[start : start + 1]) if text[start : start + 1] in ("[", "(") else None
    )
    end = yield from _forms(text, start + 1 if closing else start)
    if closing:
        if text[end : end + 1] != closing:
            raise NotEdn("a vector is never closed", start)
        end = _skip_blank(text, end + 1)
    if end < len(text):
        raise NotEdn(
            "something stands after its end; give one vector of maps, or one map a line", end
        )


def _forms(text: str, position: int) -> Generator[tuple[Any, int], None, int]:
    """Yield the forms and where each began, up to the end or to a bracket that closes nothing; return where that is."""
    while True:
        position = _skip_blank(text, position)
        if position == len(text) or text[position] in "])}":
            return position
        found = _PLAIN_MAP.match(text, position)
        plain = _plain_map(found[1]) if found else None
        if found and plain is not None:
            yield plain, position
            position = found.end()
        else:
            end = _end_of_form(text, position)
            for form in _by_edn_format(text[position:end], position):
                yield form, position
            position = end


def _skip_blank(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


_BLANK: Final = re.compile(r"(?:[\s,]|;[^\n]*)*+")
_PLAIN_STRING: Final = r'"(?:[^"\\]|\\["\\nrt])*+"'
_FLAT: Final = rf'[^{{}}"\\;]*+(?:{_PLAIN_STRING}[^{{}}"\\;]*+)*+'
# A map, in which maps and sets may stand, and in those again.
_NESTED: Final = rf"{_FLAT}(?:\{{{_FLAT}(?:\{{{_FLAT}\}}{_FLAT})*+\}}{_FLAT})*+"
_PLAIN_MAP: Final = re.compile(rf"(?:#jepsen\.history\.Op *)?\{{({_NESTED})\}}")
# A string, a bracket, or a stretch without any; a lone quotation mark is part of something that is not plain.
_TOKEN: Final = re.compile(
    rf'[ \t\r\n,]*+({_PLAIN_STRING}(?=[ \t\r\n,\[\]{{}}()]|\Z)|#\{{|[\[\](){{}}]|[^ \t\r\n,\[\](){{}}"]+|")'
)
_PLAIN_KEYWORD: Final = re.compile(
    r":[a-zA-Z*+!_?<>=.-][\w*+!?<>=.-]*(?:/[a-zA-Z*+!_?<>=.-][\w*+!?<>=.-]*)?", re.ASCII
)
_CLOSES: Final = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def _plain_map(inside: str) -> dict[Any, Any] | None:
    """Return the map of which this is the text between the braces, or None if it has what only edn_format reads."""
    try:
        return dict(_collection("{", _plain_forms(inside)))
    # No atom of ours, brackets that do not match, a key without a value, something that cannot be hashed.
    except (ValueError, TypeError):
        return None


def _plain_forms(text: str) -> list[Any]:
    opened: list[tuple[str, list[Any]]] = []
    here: list[Any] = []
    for lexeme in _TOKEN.findall(text):
        form = _ATOMS.get(lexeme, _UNKNOWN)
        if form is _UNKNOWN:
            if lexeme in _CLOSES:
                opened.append((lexeme, here))
                here = []
                continue
            if lexeme in "])}":
                bracket, outer = opened.pop() if opened else ("", [])
                if _CLOSES.get(bracket) != lexeme:
                    raise ValueError(lexeme)
                form, here = _collection(bracket, here), outer
            else:
                form = _atom(lexeme)
        here.append(form)
    if opened:
        raise ValueError(opened)
    return here


def _collection(bracket: str, content: list[Any]) -> Any:
    if bracket == "#{":
        return frozenset(content)
    if bracket == "{":
        return dict(zip(content[::2], content[1::2], strict=True))
    return content


_ATOMS: Final[dict[str, Any]] = {"nil": None, "true": True, "false": False}
_UNKNOWN: Final = object()
_MANY: Final = 10_000
"""So many keywords are remembered; a history has few different ones."""


def _atom(lexeme: str) -> Any:
    if lexeme[0] == '"' and len(lexeme) > 1:
        return (
            _ESCAPE.sub(lambda found: _ESCAPED[found[1]], lexeme[1:-1])
            if "\\" in lexeme
            else lexeme[1:-1]
        )
    digits = lexeme.removeprefix("-")
    # 007 is no integer in EDN, and what has more digits than a long may be too long for int().
    if (
        digits.isdigit()
        and digits.isascii()
        and len(digits) < 19
        and (digits[0] != "0" or digits == "0")
    ):
        return int(lexeme)
    if not _PLAIN_KEYWORD.fullmatch(lexeme):
        raise ValueError(lexeme)
    keyword = Keyword(lexeme)
    if len(_ATOMS) < _MANY:
        _ATOMS[lexeme] = keyword
    return keyword


# What edn_format is given: one form, found by its brackets.
_LEXEME: Final = re.compile(
    r'"(?:[^"\\]|\\.)*+"|;[^\n]*|\\.[^\s,\[\]{}()"]*|[\[{(]|[\]})]|[^\s,\[\]{}()"\\;]+|"', re.DOTALL
)


def _end_of_form(text: str, position: int) -> int:
    depth = 0
    for lexeme in _LEXEME.finditer(text, position):
        first = lexeme[0][0]
        if first in "[{(":
            depth += 1
        elif first in "]})":
            depth -= 1
        elif first in ";#":  # a comment, or a tag or discard, which belongs to what follows
            continue
        if depth <= 0:
            return lexeme.end()
    return len(text)


def _by_edn_format(text: str, position: int) -> Iterator[Any]:
    try:
        for form in edn_format.loads_all(text):
            yield _converted(form)
    # It has kinds of its own, NotImplementedError for unknown tags, and any other for what a known one cannot hold.
    except Exception as problem:
        raise NotEdn(problem, position) from None


def _converted(form: Any) -> Any:
    if isinstance(form, edn_format.Keyword):
        return Keyword(f":{form.name}")
    if isinstance(form, edn_format.ImmutableDict | dict):
        return {_hashable(key): _converted(value) for key, value in form.items()}
    if isinstance(form, edn_format.ImmutableList | list | tuple):
        return [_converted(element) for element in form]
    if isinstance(form, frozenset | set):
        return frozenset(_hashable(element) for element in form)
    return form


def _hashable(form: Any) -> Any:
    converted = _converted(form)
    if isinstance(converted, list):
        return tuple(_hashable(element) for element in form)
    if isinstance(converted, dict):
        return edn_format.ImmutableDict(
            {_hashable(key): _hashable(value) for key, value in form.items()}
        )
    return converted


def written(value: Any) -> str:  # noqa: C901, PLR0911, PLR0912 - a case for each form of EDN
    """Return a value as EDN; equal sets and maps give equal text. What EDN has no form for becomes a string."""
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case Keyword() | edn_format.Symbol() | int():
            return str(value)
        case Char():
            return _character(value)
        case str():
            return string(value)
        case float():
            return _float(value)
        case list() | tuple() | edn_format.ImmutableList():
            return f"[{' '.join(map(written, value))}]"
        case set() | frozenset():
            return f"#{{{' '.join(sorted(map(written, value)))}}}"
        case Mapping():
            pairs = sorted((written(key), written(of_key)) for key, of_key in value.items())
            return f"{{{', '.join(f'{key} {of_key}' for key, of_key in pairs)}}}"
        case Decimal():
            return f"{value}M"
        case Fraction():
            return f"{value.numerator}/{value.denominator}"
        case datetime():
            return f'#inst "{value.isoformat()}"'
        case UUID():
            return f'#uuid "{value}"'
    return string(str(value))


def keyword(name: str) -> str:
    """Return a name as a keyword, or as a string with its colon where it cannot be one."""
    written_as = f":{name}"
    return written_as if _PLAIN_KEYWORD.fullmatch(written_as) else string(written_as)


def string(text: str) -> str:
    """Return a text as an EDN string, on one line."""
    return f'"{_TO_ESCAPE.sub(_escape, text)}"'


_TO_ESCAPE: Final = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_ESCAPES: Final = {of: f"\\{letter}" for letter, of in _ESCAPED.items()}


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}"


def _float(value: float) -> str:
    return {"nan": "##NaN", "inf": "##Inf", "-inf": "##-Inf"}.get(repr(value), repr(value))


def _character(value: str) -> str:
    name = {"\n": "newline", "\r": "return", " ": "space", "\t": "tab"}.get(value)
    return f"\\{name or (value if '!' <= value <= '~' else f'u{ord(value):04x}')}"
