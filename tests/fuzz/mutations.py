"""Changes of bytes and of texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

INTEGERS: Final = (0, 1, -1, 2, 7, 127, 128, 255, 2**15, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62)


def flip_bits(random: Random, data: bytes) -> bytes:
    """Return the bytes with one to four bits flipped."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwrite(random: Random, data: bytes) -> bytes:
    """Return the bytes with an aligned integer replaced, such as a length or an offset."""
    width = random.choice((1, 2, 4, 8))
    at = random.randrange(0, max(1, len(data) - width), width)
    integer = random.choice(INTEGERS) % (1 << (8 * width))
    return data[:at] + integer.to_bytes(width, "little") + data[at + width :]


def cut(random: Random, data: bytes) -> bytes:
    """Return a beginning of the bytes."""
    return data[: random.randrange(len(data))]


def remove(random: Random, data: bytes) -> bytes:
    """Return the bytes without a stretch in the middle."""
    start = random.randrange(len(data))
    return data[:start] + data[start + random.choice((1, 2, 8, 64, 300)) :]


def repeat(random: Random, data: bytes) -> bytes:
    """Return the bytes with a stretch of them twice."""
    start = random.randrange(len(data))
    end = start + random.choice((1, 2, 8, 64, 300))
    return data[:end] + data[start:end] + data[end:]


def insert(random: Random, data: bytes) -> bytes:
    """Return the bytes with random bytes inserted."""
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.choice((1, 2, 8, 64))) + data[at:]


def append(random: Random, data: bytes) -> bytes:
    """Return the bytes with more bytes at the end."""
    return data + random.choice((b"\0", b"\n", b"\0" * 8, random.randbytes(16)))


BYTE_CHANGES: Final[Sequence[Callable[[Random, bytes], bytes]]] = (
    *(flip_bits,) * 6,
    *(overwrite,) * 3,
    *(cut,) * 3,
    remove,
    repeat,
    insert,
    append,
)

HOSTILE: Final = (
    "",
    "~",
    "null",
    "nil",
    "true",
    "-1",
    "0",
    "00012",
    "1e308",
    "1e309",
    "-1e308",
    "1e-300",
    "5e-324",
    ".inf",
    "-.inf",
    ".nan",
    "NaN",
    "Infinity",
    "##NaN",
    "9" * 19,
    "9" * 400,
    "9" * 5000,
    "0x7fffffffffffffff",
    "0o777",
    "0b1",
    "1_000",
    "1ms",
    "0.001",
    "99999999h",
    "1:30:00",
    "2001-01-01",
    "2001-99-99T00:00:00Z",
    '"\\ud800"',
    '"\\u0000"',
    '"\\u001b[31m"',
    "'\x1b[2J'",
    "\x07",
    "\x00",
    "\u2028",
    "\ufeff",
    "\u0663",
    "²",
    "½",
    "é" * 300,
    "x" * 5000,
    "[" * 40,
    "[" * 3000,
    "{" * 3000,
    "[" * 2000 + "]" * 2000,
    "{a: " * 400 + "1" + "}" * 400,
    "#{[" * 500,
    "[]",
    "{}",
    "()",
    "[1, 2]",
    "{1: 2}",
    "{? [a] : b}",
    "#{1 1}",
    "{:a}",
    "&a [*a]",
    "&a {b: *a}",
    "*missing",
    "!!python/object:os.system x",
    "!!binary aGVsbG8=",
    "!!binary ???",
    "!!timestamp 2001-13-45",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!int x",
    "!!float x",
    "!!bool maybe",
    "!!merge x",
    "!foreign x",
    "<<: [1]",
    "{<<: {a: 1}}",
    "? x",
    "- x",
    "---\n...",
    "%YAML 9.9",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "$(id)",
    "`id`",
    "'; id; '",
    "~nouser/x",
    "../../x",
    "latest",
    "-oProxyCommand=id",
    "\\",
    '"',
    "'",
    '"""',
    "|",
    ">",
    "%",
    "@",
    '#inst "x"',
    '#inst "2001-01-01"',
    '#uuid "x"',
    "#foreign/tag {:a 1}",
    "#_",
    "#_#_ 1 2",
    "\\newline",
    "\\u12",
    "1/0",
    "1/2",
    "1.5M",
    "12N",
    "1e999999999M",
    ":",
    "::a",
    ":a/b/c",
    ";",
    "#",
    "^{:a 1} x",
    "(a+)+$",
    "(?P<x>",
    "[",
    "*",
    ".*.*.*.*x",
)
"""Texts that parsers have stumbled over: numbers, tags, nesting, escapes, injections."""

_TOKEN: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|[\w.:+/-]+|[\[\]{}(),]')


def replace_token(random: Random, text: str) -> str:
    """Return the text with a word, number or string replaced by a hostile text."""
    tokens = list(_TOKEN.finditer(text))
    if not tokens:
        return text + random.choice(HOSTILE)
    token = random.choice(tokens)
    return text[: token.start()] + random.choice(HOSTILE) + text[token.end() :]


def exchange_tokens(random: Random, text: str) -> str:
    """Return the text with a token replaced by another of its tokens."""
    tokens = list(_TOKEN.finditer(text))
    if not tokens:
        return text
    token = random.choice(tokens)
    return text[: token.start()] + random.choice(tokens)[0] + text[token.end() :]


def remove_line(random: Random, text: str) -> str:
    """Return the text without one line."""
    lines = text.splitlines(keepends=True)
    if lines:
        del lines[random.randrange(len(lines))]
    return "".join(lines)


def repeat_line(random: Random, text: str) -> str:
    """Return the text with a line twice."""
    lines = text.splitlines(keepends=True)
    if lines:
        lines.insert(random.randrange(len(lines) + 1), random.choice(lines))
    return "".join(lines)


def insert_text(random: Random, text: str) -> str:
    """Return the text with a hostile text inserted."""
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(HOSTILE) + text[at:]


def cut_text(random: Random, text: str) -> str:
    """Return a beginning of the text."""
    return text[: random.randrange(len(text) + 1)]


TEXT_CHANGES: Final[Sequence[Callable[[Random, str], str]]] = (
    *(replace_token,) * 5,
    *(exchange_tokens,) * 3,
    remove_line,
    repeat_line,
    insert_text,
    cut_text,
)


def changed_text(random: Random, text: str) -> bytes:
    """Return a text after one to three changes, as bytes that need not be UTF-8."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        text = random.choice(TEXT_CHANGES)(random, text)
    data = text.encode("utf-8", "surrogatepass")
    return random.choice(BYTE_CHANGES)(random, data) if data and random.random() < 0.2 else data
