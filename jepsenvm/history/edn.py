"""Read and write EDN, the notation of Jepsen's histories.

edn_format reads all of EDN, but only a few thousand ops per second. What Jepsen writes is nearly
always plain: maps, vectors and sets of keywords, integers, strings, nil and booleans. Two regular
expressions read such maps here, about twenty times as fast (the fast path). Every other form is
passed to edn_format. Both paths give the same values:

- a keyword is a ``Keyword``, a vector or list a list, a set a frozenset, a map a dict;
- a ratio is a Fraction, a decimal number a Decimal, a character an edn_format.Char;
- inside a set or as a key of a map, where Python needs something hashable, a vector is a tuple and
  a map is edn_format's ImmutableDict;
- a form with a tag that nobody knows here is a ``Tagged``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Any, Final, Protocol
from uuid import UUID

import edn_format
from edn_format.char import Char

from jepsenvm.errors import shorten
from jepsenvm.history.edn_unmerged import TAGS, Unmerged, unmerged


def _untagged(form: Any) -> Any:
    return form


# Jepsen 0.3 can print its ops as records with this tag. Their content is the same map.
edn_format.add_tag("jepsen.history.Op", _untagged)


class EdnError(ValueError):
    """The text is not EDN. ``position`` is the index at which the unreadable form begins."""

    def __init__(self, problem: object, position: int) -> None:
        super().__init__(str(problem))
        self.position = position


class UnfinishedError(EdnError):
    """The text ends within a form."""


class _DuplicateError(Exception):
    """A map has a key twice, or a set an element, so one of the two would be ignored.

    Also for two that only Python finds equal, such as 1 and true, or :a and ":a".
    """


@dataclass(frozen=True)
class Tagged:
    """A form with a tag that has no meaning here, such as ``#error {:cause "refused"}``."""

    tag: str
    form: Any


class Keyword(str):
    """An EDN keyword: prints as :name, and its type keeps it apart from the string ":name"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def read(text: str) -> Any:
    """Return the only form of a text; raise EdnError if there is none or more than one."""
    forms = list(_forms(text, 0))
    if len(forms) != 1:
        raise EdnError(f"expected one form, found {len(forms)}", 0)
    return forms[0][0]


class Lines(Protocol):
    """Consecutive lines of a text that were read without this module."""

    @property
    def end(self) -> int:
        """The index after the lines."""


def elements(
    text: str, lines_at: Callable[[int], Lines | None] | None = None
) -> Iterator[tuple[Any, int]]:
    """Yield each form of a text with the index at which it begins.

    If the text is one vector or list, yield the elements of that vector instead. ``lines_at`` may
    return lines that begin at an index, which are then yielded instead of their forms. Raises
    EdnError.
    """
    start = _skip_blank(text, 0)
    opening = text[start : start + 1]
    closing = _CLOSING[opening] if opening in ("[", "(") else None
    end = yield from _forms(text, start + 1 if closing else start, lines_at)
    if closing:
        if text[end : end + 1] != closing:
            raise EdnError("a vector is never closed", start)
        end = _skip_blank(text, end + 1)
    if end < len(text):
        raise EdnError(
            "there is text after the history's end; give one vector of maps, or one map per line",
            end,
        )


def _forms(
    text: str, position: int, lines_at: Callable[[int], Lines | None] | None = None
) -> Generator[tuple[Any, int], None, int]:
    """Yield the forms from a position on, each with the index at which it begins.

    Stops at the end of the text or at a closing bracket that no form opened; returns that index.
    """
    while True:
        position = _skip_blank(text, position)
        if position == len(text) or text[position] in "])}":
            return position
        lines = lines_at(position) if lines_at else None
        if lines is not None:
            yield lines, position
            position = lines.end
            continue
        match = _PLAIN_MAP.match(text, position)
        try:
            plain_map = _plain_map(match[1]) if match else None
        except _DuplicateError as problem:
            raise EdnError(problem, position) from None
        if match and plain_map is not None:
            yield plain_map, position
            position = match.end()
        else:
            end = _end_of_form(text, position)
            for form in _by_edn_format(text[position:end], position):
                yield form, position
            position = end


def _skip_blank(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


# The fast path: one expression finds the extent of a plain map, another cuts it into lexemes. The
# nested repetitions are possessive (``*+``), so that no text, however broken, makes them backtrack.
_BLANK: Final = re.compile(r"(?:[\s,]|;[^\n]*)*+")
_PLAIN_STRING: Final = r'"(?:[^"\\]|\\["\\nrt])*+"'
_FLAT: Final = rf'[^{{}}"\\;]*+(?:{_PLAIN_STRING}[^{{}}"\\;]*+)*+'
# A map may contain maps and sets, and these may contain maps and sets again, but no deeper: regular
# expressions cannot count brackets. Deeper maps go to edn_format.
_NESTED: Final = rf"{_FLAT}(?:\{{{_FLAT}(?:\{{{_FLAT}\}}{_FLAT})*+\}}{_FLAT})*+"
_PLAIN_MAP: Final = re.compile(rf"(?:#jepsen\.history\.Op *)?\{{({_NESTED})\}}")
# A lexeme is a string, a bracket, or a stretch of other characters. A lone quotation mark is also a
# lexeme, so that a string that is not plain fails below instead of being skipped.
_PLAIN_LEXEME: Final = re.compile(
    rf"[ \t\r\n,]*+({_PLAIN_STRING}(?=[ \t\r\n,\[\]{{}}()]|\Z)"
    rf'|#\{{|[\[\](){{}}]|[^ \t\r\n,\[\](){{}}"]+|")'
)
_PLAIN_KEYWORD: Final = re.compile(
    r":[a-zA-Z*+!_?<>=.-][\w*+!?<>=.-]*(?:/[a-zA-Z*+!_?<>=.-][\w*+!?<>=.-]*)*", re.ASCII
)
_CLOSING: Final = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_ESCAPE_SEQUENCE: Final = re.compile(r"\\(.)")
_ESCAPED_CHARACTERS: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def _plain_map(inside: str) -> dict[Any, Any] | None:
    """Return the map with this text between its braces, or None if only edn_format can read it."""
    try:
        return dict(_collection("{", _plain_forms(inside)))
    # ValueError: an atom that is not plain, brackets that do not match, a key without a value.
    # TypeError: a key or an element of a set that cannot be hashed.
    except (ValueError, TypeError):
        return None


def _plain_forms(text: str) -> list[Any]:
    """Return the forms of a plain text; raise ValueError if it is not plain.

    A stack instead of recursion: this is the inner loop of reading a history.
    """
    enclosing: list[tuple[str, list[Any]]] = []
    content: list[Any] = []
    for lexeme in _PLAIN_LEXEME.findall(text):
        form = _ATOMS.get(lexeme, _NO_ATOM)
        if form is _NO_ATOM:
            if lexeme in _CLOSING:
                enclosing.append((lexeme, content))
                content = []
                continue
            if lexeme in "])}":
                bracket, outer = enclosing.pop() if enclosing else ("", [])
                if _CLOSING.get(bracket) != lexeme:
                    raise ValueError(lexeme)
                form, content = _collection(bracket, content), outer
            else:
                form = _atom(lexeme)
        content.append(form)
    if enclosing:
        raise ValueError(enclosing)
    return content


def _collection(bracket: str, content: list[Any]) -> Any:
    if bracket == "#{":
        members = frozenset(content)
        if len(members) < len(content):
            raise _DuplicateError("a set has an element twice")
        return members
    if bracket == "{":
        entries = dict(zip(content[::2], content[1::2], strict=True))
        if len(entries) * 2 < len(content):
            raise _DuplicateError("a map has a key twice")
        return entries
    return content


_ATOMS: Final[dict[str, Any]] = {"nil": None, "true": True, "false": False}
"""Atoms by their text. Keywords are added as they are read, since a history repeats a few."""
_NO_ATOM: Final = object()
_MOST_ATOMS: Final = 10_000
"""At most this many atoms are kept, so that a history of many keywords does not fill the memory."""
_MOST_DIGITS: Final = 18
"""Integers with more digits may not fit into 64 bits, and very long ones are slow to convert."""


def _atom(lexeme: str) -> Any:
    """Return the string, integer or keyword of a lexeme; raise ValueError if it is none of them."""
    if lexeme[0] == '"' and len(lexeme) > 1:
        return _string_content(lexeme[1:-1])
    digits = lexeme.removeprefix("-")
    # EDN has no integers with leading zeros. isdigit() is also true of digits of other scripts.
    if (
        digits.isdigit()
        and digits.isascii()
        and len(digits) <= _MOST_DIGITS
        and (digits[0] != "0" or digits == "0")
    ):
        return int(lexeme)
    if not _PLAIN_KEYWORD.fullmatch(lexeme):
        raise ValueError(lexeme)
    keyword = Keyword(lexeme)
    if len(_ATOMS) < _MOST_ATOMS:
        _ATOMS[lexeme] = keyword
    return keyword


def _string_content(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE_SEQUENCE.sub(lambda match: _ESCAPED_CHARACTERS[match[1]], text)


# The slow path: the extent of one form is found by its brackets, and edn_format reads it.
_LEXEME: Final = re.compile(
    r'"(?:[^"\\]|\\.)*+"|;[^\n]*|\\.[^\s,\[\]{}()"]*|[\[{(]|[\]})]|[^\s,\[\]{}()"\\;]+|"', re.DOTALL
)


MOST_DEPTH: Final = 100
"""Forms may be nested this deep. Histories are not, and Python's stack has an end."""


def _end_of_form(text: str, position: int) -> int:
    depth = 0
    for lexeme in _LEXEME.finditer(text, position):
        first = lexeme[0][0]
        if first in "[{(":
            depth += 1
            if depth > MOST_DEPTH:
                raise EdnError(f"brackets are nested more than {MOST_DEPTH} deep", position)
        elif first in "]})":
            depth -= 1
        elif first in ";#" and not lexeme[0].startswith("##"):
            continue  # a comment, or a tag or discard, which belongs to the next form
        if depth <= 0:
            return lexeme.end()
    raise UnfinishedError("the text ends within this form", position)


_EXTRA_SLASH: Final = "*-slash-*"
"""Stands for the second slash of a name such as ``:a/b/c``, which edn_format would cut in three."""

_TAG: Final = re.compile(r"#([a-zA-Z][^\s,\[\]{}()\"\\;]*)")


def _by_edn_format(text: str, position: int) -> Iterator[Any]:
    lexemes = _LEXEME.finditer(text)
    for tag in {match[1] for lexeme in lexemes if (match := _TAG.fullmatch(lexeme[0]))}:
        if tag in TAGS:
            raise EdnError(f"the tag {tag} is reserved", position)
        if tag not in _KNOWN_TAGS:
            _KNOWN_TAGS.add(tag)
            edn_format.add_tag(tag, partial(Tagged, tag))
    try:
        # edn_format calculates with the numbers that end with M, and would round longer ones.
        with localcontext(prec=_DECIMAL_DIGITS):
            plain = _LEXEME.sub(_without_extra_slashes, text)
            forms = edn_format.loads_all(unmerged(_LEXEME.finditer(plain), plain))
        yield from map(_converted, forms)
    # edn_format raises its own errors, and whatever the constructor of a known tag raises for an
    # invalid value.
    except Exception as problem:
        raise EdnError(problem, position) from None


_DECIMAL_DIGITS: Final = 4300
"""Python reads no longer integers either."""

_KNOWN_TAGS: Final = {"inst", "uuid", "jepsen.history.Op"}
"""The tags that edn_format reads by itself or that were added to it."""


def _without_extra_slashes(lexeme: re.Match[str]) -> str:
    text = lexeme[0]
    if text.count("/") < 2 or text[0] in '";\\#':
        return text
    if text.lstrip("+-")[:1].isdigit():
        raise EdnError(f"{shorten(text)} is neither a number nor a name", 0)
    namespace, _, rest = text.partition("/")
    return f"{namespace}/{rest.replace('/', _EXTRA_SLASH)}"


def _converted(form: Any) -> Any:  # noqa: PLR0911 - a case for each form that edn_format has
    if isinstance(form, edn_format.Keyword):
        return Keyword(f":{form.name}".replace(_EXTRA_SLASH, "/"))
    if isinstance(form, edn_format.Symbol) and _EXTRA_SLASH in form.name:
        return edn_format.Symbol(form.name.replace(_EXTRA_SLASH, "/"))
    if isinstance(form, Tagged):
        return Tagged(form.tag, _hashable(form.form))
    if isinstance(form, edn_format.MetadataValue):
        return _converted(form.value)  # metadata is no part of a value
    if isinstance(form, Unmerged):
        return _set_or_map(form, _converted)
    if isinstance(form, edn_format.ImmutableDict | dict):
        return {_hashable(key): _converted(value) for key, value in form.items()}
    if isinstance(form, edn_format.ImmutableList | list | tuple):
        return [_converted(element) for element in form]
    if isinstance(form, frozenset | set):
        return frozenset(_hashable(element) for element in form)
    return form


def _set_or_map(form: Unmerged, convert: Callable[[Any], Any]) -> Any:
    """Return a set, or a map whose values ``convert`` converts.

    Raise _DuplicateError if Python would merge two elements or keys.
    """
    if form.opening == "#{":
        return _collection("#{", [_hashable(element) for element in form.elements])
    keys, values = map(_hashable, form.elements[::2]), map(convert, form.elements[1::2])
    return _collection("{", [*chain.from_iterable(zip(keys, values, strict=True))])


def _hashable(form: Any) -> Any:
    # Each form is converted once. Twice at each level would double the time with each level.
    if isinstance(form, edn_format.MetadataValue):
        return _hashable(form.value)
    if isinstance(form, edn_format.ImmutableList | list | tuple):
        return tuple(_hashable(element) for element in form)
    if isinstance(form, Unmerged) and form.opening == "{":
        return edn_format.ImmutableDict(_set_or_map(form, _hashable))
    if isinstance(form, edn_format.ImmutableDict | dict):
        return edn_format.ImmutableDict(
            {_hashable(key): _hashable(value) for key, value in form.items()}
        )
    return _converted(form)


def written(value: Any) -> str:  # noqa: C901, PLR0911, PLR0912 - a case for each form of EDN
    """Return a value as EDN text on one line.

    Values that are equal in Clojure give equal text, such as two maps with another order of keys,
    1.0M and 1.00M, or an instant in two time zones. A value that EDN cannot represent becomes a
    string.
    """
    match value:
        case None:
            return "nil"
        case Tagged():
            return f"#{value.tag} {written(value.form)}"
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
            entries = sorted((written(key), written(content)) for key, content in value.items())
            return f"{{{', '.join(f'{key} {content}' for key, content in entries)}}}"
        case Decimal():
            return f"{_without_zeros(value)}M"
        case Fraction():
            return str(value)
        case date():
            return f'#inst "{_instant(value).isoformat()}"'
        case UUID():
            return f'#uuid "{value}"'
    return string(str(value))


def keyword(name: str) -> str:
    """Return a name as the text of a keyword.

    A name that no keyword can have becomes a string that begins with the colon.
    """
    text = f":{name}"
    return text if _PLAIN_KEYWORD.fullmatch(text) else string(text)


def string(text: str) -> str:
    """Return a text as an EDN string on one line."""
    return f'"{_TO_ESCAPE.sub(_escape, text)}"'


_TO_ESCAPE: Final = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_ESCAPE_SEQUENCES: Final = {
    character: f"\\{letter}" for letter, character in _ESCAPED_CHARACTERS.items()
}


def _escape(match: re.Match[str]) -> str:
    return _ESCAPE_SEQUENCES.get(match[0]) or f"\\u{ord(match[0]):04x}"


def _float(value: float) -> str:
    text = repr(value)
    return {"nan": "##NaN", "inf": "##Inf", "-inf": "##-Inf", "-0.0": "0.0"}.get(text, text)


def _without_zeros(value: Decimal) -> Decimal:
    """Return a number without zeros at its end. ``Decimal.normalize`` would round it."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return value  # infinite, or not a number
    if not any(digits):
        return Decimal(0)
    significant = "".join(map(str, digits)).rstrip("0")
    zeros = len(digits) - len(significant)
    return Decimal((sign, tuple(map(int, significant)), exponent + zeros))


def _instant(value: date) -> datetime:
    """Return an instant in UTC. EDN's instants without a time zone or a time are in UTC."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC)


def _character(value: str) -> str:
    name = {"\n": "newline", "\r": "return", " ": "space", "\t": "tab"}.get(value)
    if name is None:
        name = value if "!" <= value <= "~" else f"u{ord(value):04x}"
    return f"\\{name}"
