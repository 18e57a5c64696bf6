"""EDN: the exact values and positions of every form, the exact text of every value and error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import edn_format
import pytest
from edn_format.char import Char

from jepsenvm.history import edn
from jepsenvm.history.edn import EdnError, Keyword, Tagged, UnfinishedError


def shape(form: Any) -> Any:
    """Return a form with the types of all its parts. In Python 1 and True are equal."""
    kind = type(form).__name__
    if isinstance(form, list | tuple):
        return kind, [shape(element) for element in form]
    if isinstance(form, frozenset):
        return kind, sorted(repr(shape(element)) for element in form)
    if isinstance(form, Mapping):
        return kind, [(shape(key), shape(value)) for key, value in form.items()]
    if isinstance(form, Tagged):
        return kind, form.tag, shape(form.form)
    return kind, str(form)


def read_elements(text: str) -> list[tuple[Any, int]]:
    return list(edn.elements(text))


def assert_elements(text: str, expected: list[tuple[Any, int]]) -> None:
    found = read_elements(text)
    assert [(shape(form), position) for form, position in found] == [
        (shape(form), position) for form, position in expected
    ]


A, B, C = Keyword(":a"), Keyword(":b"), Keyword(":c")
X = edn_format.Symbol("X")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  ;c", []),
        ("[]", []),
        ("()", []),
        (" [ ] ;c", []),
        ("1", [(1, 0)]),
        ("{:a 1}", [({A: 1}, 0)]),
        ("#{1}", [(frozenset({1}), 0)]),
        ("[[1] 2]", [([1], 1), (2, 5)]),
        ("([1])", [([1], 1)]),
        ("1 [2] {:a 3}", [(1, 0), ([2], 2), ({A: 3}, 6)]),
        ("{:a 1}{:b 2} 3,,{}", [({A: 1}, 0), ({B: 2}, 6), (3, 13), ({}, 16)]),
        ("; x\n[{:a 1.5}\n{:b 2} #_ 7 ]\n;y\n", [({A: 1.5}, 5), ({B: 2}, 14)]),
        ("#jepsen.history.Op{:a 1} #jepsen.history.Op {:b 1.5}", [({A: 1}, 0), ({B: 1.5}, 25)]),
        ("X [X 1.5] 2", [(X, 0), ([X, 1.5], 2), (2, 10)]),
        ("##NaN ##Inf ##-Inf", [(float("nan"), 0), (float("inf"), 6), (float("-inf"), 12)]),
        (
            "#x ; [\n 1 #y [2 {:a (3)}]",
            [(Tagged("x", 1), 0), (Tagged("y", (2, edn_format.ImmutableDict({A: (3,)}))), 10)],
        ),
        (
            '"a;b" \\; \\[ \\" :c',
            [("a;b", 0), (Char(";"), 6), (Char("["), 9), (Char('"'), 12), (C, 15)],
        ),
    ],
)
def test_elements_and_where_they_begin(text: str, expected: list[tuple[Any, int]]) -> None:
    assert_elements(text, expected)


@pytest.mark.parametrize(
    ("text", "kind", "message", "position"),
    [
        ("[1", EdnError, "a vector is never closed", 0),
        (" ;[\n(1 2 ", EdnError, "a vector is never closed", 4),
        ("  [1)", EdnError, "a vector is never closed", 2),
        ("(1]", EdnError, "a vector is never closed", 0),
        ("[1}", EdnError, "a vector is never closed", 0),
        (
            "[1] ,2",
            EdnError,
            "there is text after the history's end; give one vector of maps, or one map per line",
            5,
        ),
        (
            "[1]2",
            EdnError,
            "there is text after the history's end; give one vector of maps, or one map per line",
            3,
        ),
        (
            "1 ]",
            EdnError,
            "there is text after the history's end; give one vector of maps, or one map per line",
            2,
        ),
        (
            "{:a 1})",
            EdnError,
            "there is text after the history's end; give one vector of maps, or one map per line",
            6,
        ),
        (
            "1}",
            EdnError,
            "there is text after the history's end; give one vector of maps, or one map per line",
            1,
        ),
        ("{:a 1 :b 2 :c 3 :d 4 :a 5}", EdnError, "a map has a key twice", 0),
        ("1 {:a 1 :a 2}", EdnError, "a map has a key twice", 2),
        ("{:a [{1 2 true 3}]}", EdnError, "a map has a key twice", 0),
        (" {:a #{1 1}}", EdnError, "a set has an element twice", 1),
        ("#{1 1.0}", EdnError, "a set has an element twice", 0),
        ("#{1.0 true}", EdnError, "a set has an element twice", 0),
        ("#{1.5 1.50M}", EdnError, "a set has an element twice", 0),
        ("{:a #{0.0 false}}", EdnError, "a set has an element twice", 0),
        ("#{[1] [1.0]}", EdnError, "a set has an element twice", 0),
        ("#{[1.5] (1.5)}", EdnError, "a set has an element twice", 0),
        ("#{{:a 1} {:a 1.0}}", EdnError, "a set has an element twice", 0),
        ("#{#{1} #{1.0}}", EdnError, "a set has an element twice", 0),
        ("#{#x 1 #x 1.0}", EdnError, "a set has an element twice", 0),
        ("#x #{1 1.0}", EdnError, "a set has an element twice", 0),
        ("{:a {1 :b 1.0 :c}}", EdnError, "a map has a key twice", 0),
        ("{[1] :b [1.0] :c}", EdnError, "a map has a key twice", 0),
        ("{:x/y/z 1.5 :x/y/z 2}", EdnError, "a map has a key twice", 0),
        ("#:n{1 :b 1.0 :c}", EdnError, "a map has a key twice", 0),
        ("[{1.5}]", EdnError, "a map has a key without a value", 1),
        ("#:n{1.5}", EdnError, "a map has a key without a value", 0),
        ("1 #jepsenvm/set [1.5]", EdnError, "the tag jepsenvm/set is reserved", 2),
        ("1 [2 [3", UnfinishedError, "the text ends within this form", 2),
        ("[1 [2", UnfinishedError, "the text ends within this form", 3),
        ("1 #x", UnfinishedError, "the text ends within this form", 2),
        ("1  #_ ; c", UnfinishedError, "the text ends within this form", 3),
        ("1 {:a", UnfinishedError, "the text ends within this form", 2),
        ("7 1/2/3", EdnError, "1/2/3 is neither a number nor a name", 2),
        ("+1/2/3", EdnError, "+1/2/3 is neither a number nor a name", 0),
        ("[1 -1/2/3]", EdnError, "-1/2/3 is neither a number nor a name", 3),
        (
            "1/2/" + "3" * 57,
            EdnError,
            "1/2/" + "3" * 53 + "... is neither a number nor a name",
            0,
        ),
    ],
)
def test_what_is_not_edn(text: str, kind: type[EdnError], message: str, position: int) -> None:
    with pytest.raises(EdnError) as refused:
        read_elements(text)
    assert (type(refused.value), str(refused.value), refused.value.position) == (
        kind,
        message,
        position,
    )


def test_what_edn_format_refuses_has_the_position_of_its_form() -> None:
    with pytest.raises(EdnError) as refused:
        read_elements('1 #uuid "x"')
    assert (str(refused.value), refused.value.position) == (
        "badly formed hexadecimal UUID string",
        2,
    )


def test_one_form_is_read_from_a_text() -> None:
    assert edn.read(" 7 ; x") == 7
    for text, message in (
        ("", "expected one form, found 0"),
        ("1 2", "expected one form, found 2"),
    ):
        with pytest.raises(EdnError) as refused:
            edn.read(text)
        assert (str(refused.value), refused.value.position) == (message, 0)


@pytest.mark.parametrize("brackets", ["[]", "()", "{}"])
def test_brackets_may_be_nested_to_the_limit(brackets: str) -> None:
    opening, closing = ("{1 ", "}") if brackets == "{}" else tuple(brackets)
    deepest = f"#x 7.5 {opening * 100}2{closing * 100}"
    assert len(read_elements(deepest)) == 2
    with pytest.raises(EdnError) as refused:
        read_elements(f"#x 7.5 {opening * 101}2{closing * 101}")
    assert (str(refused.value), refused.value.position) == (
        "brackets are nested more than 100 deep",
        7,
    )


def test_siblings_do_not_add_to_the_depth() -> None:
    assert edn.read(f"[{'[1]' * 200}]") == [[1]] * 200


PLAIN = [
    ("", {}),
    (":a nil, :b true :c false", {A: None, B: True, C: False}),
    (':a "", :b "x\\n\\r\\t\\"\\\\y"', {A: "", B: 'x\n\r\t"\\y'}),
    (":a 0 :b -0 :c -12", {A: 0, B: 0, C: -12}),
    (f":a {'9' * 18} :b -{'9' * 18}", {A: 999999999999999999, B: -999999999999999999}),
    (
        ":a :b/c, :b :a-b? :c :x.y/z.w",
        {A: Keyword(":b/c"), B: Keyword(":a-b?"), C: Keyword(":x.y/z.w")},
    ),
    (":a [1 (2 [3]) #{4} {:b 5}] :b 6", {A: [1, [2, [3]], frozenset({4}), {B: 5}], B: 6}),
    (":a :a :b :a", {A: A, B: A}),
    ('"a" 1 2 3', {"a": 1, 2: 3}),
]


@pytest.mark.parametrize(("text", "expected"), PLAIN)
def test_plain_maps_are_read_without_edn_format(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: dict[Any, Any]
) -> None:
    monkeypatch.setattr(edn_format, "loads_all", lambda _: pytest.fail("passed to edn_format"))
    assert shape(edn._plain_map(text)) == shape(expected)
    assert_elements(f"{{{text}}}", [(expected, 0)])
    assert_elements(f"#jepsen.history.Op {{{text}}} {{}}", [(expected, 0), ({}, len(text) + 22)])


@pytest.mark.parametrize(
    "text",
    [
        ":a",
        ":a 1 :b",
        ":a [1",
        ":a 1)",
        "] :a",
        ":a (1]",
        ":a #{1]",
        ":a {1]",
        ":a {1 2",
        "[1] 2",
        ":a #{[1]}",
        ":a 00",
        ":a -01",
        ":a -",
        ":a --1",
        ":a 1-",
        f":a {'9' * 19}",
        f":a -{'9' * 19}",
        ":a ٣",
        ":a ²",
        ":a 1N",
        ":a +1",
        ":a x",
        ':a "',
        ":a :",
        ":a ::b",
    ],
)
def test_other_maps_are_left_to_edn_format(text: str) -> None:
    assert edn._plain_map(text) is None


def test_keywords_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {"nil": None}
    monkeypatch.setattr(edn, "_ATOMS", kept)
    monkeypatch.setattr(edn, "_MOST_ATOMS", 3)
    for _ in range(2):
        assert shape(edn._plain_map(":a :b :c :a")) == shape({A: B, C: A})
        assert shape(kept) == shape({"nil": None, ":a": A, ":b": B})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":a/b", Keyword(":a/b")),
        (":a/b/c", Keyword(":a/b/c")),
        (":a/b/c/d", Keyword(":a/b/c/d")),
        ("x", edn_format.Symbol("x")),
        ("x/y", edn_format.Symbol("x/y")),
        ("x/y/z/w", edn_format.Symbol("x/y/z/w")),
        ("X1/y/z", edn_format.Symbol("X1/y/z")),
        ("-x/y/z", edn_format.Symbol("-x/y/z")),
        ('"a/b/c"', "a/b/c"),
        ('["a/b/c" 1.5] ; a/b/c', ["a/b/c", 1.5]),
        ("#a/b 1", Tagged("a/b", 1)),
        (
            "#t [1 #{2} {:a [3]} #u (4)]",
            Tagged(
                "t", (1, frozenset({2}), edn_format.ImmutableDict({A: (3,)}), Tagged("u", (4,)))
            ),
        ),
        (
            "#{[1 [2]] {:a #{3}}}",
            frozenset({(1, (2,)), edn_format.ImmutableDict({A: frozenset({3})})}),
        ),
        ("{[1 {:a [2]}] [3 (4.5)]}", {(1, edn_format.ImmutableDict({A: (2,)})): [3, [4.5]]}),
        ("#{1 #_1.0 2}", frozenset({1, 2})),
        ("[1.5 #_#{1 1.0} #_{1 2} #_#:n{1 2} #_ #_ {} #{} 2]", [1.5, 2]),
        ("#{1.5\n#{}}", frozenset({1.5, frozenset()})),
        ("[x#{1 2.5}]", [edn_format.Symbol("x#"), {1: 2.5}]),
        ("[^{:m 1} [1.5] ^:m {2 3}]", [[1.5], {2: 3}]),
        ("#{^{:m 1} [1.5]}", frozenset({(1.5,)})),
        (
            "#:n{:a 1.5 :_/b 2 :c/d #{3} 4 {:e 5}}",
            {
                Keyword(":n/a"): 1.5,
                Keyword(":b"): 2,
                Keyword(":c/d"): frozenset({3}),
                4: {Keyword(":e"): 5},
            },
        ),
        ("#:n{#:m{:a 1.5} 2}", {edn_format.ImmutableDict({Keyword(":m/a"): 1.5}): 2}),
        ("{{[1] 2} {[1] [2]}}", {edn_format.ImmutableDict({(1,): 2}): {(1,): [2]}}),
        ("{x/y/z :a/b/c}", {edn_format.Symbol("x/y/z"): Keyword(":a/b/c")}),
        (
            "[1.25M 1.2345678901234567890123456789012345678901M]",
            [Decimal("1.25"), Decimal("1.2345678901234567890123456789012345678901")],
        ),
        ("2/3", Fraction(2, 3)),
        ('#uuid "00000000-0000-0000-0000-000000000001"', UUID(int=1)),
        (
            '[#inst "2024-05-06T07:08:09.000-02:00"]',
            [datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=-2)))],
        ),
    ],
)
def test_the_values_of_edn_format(text: str, expected: Any) -> None:
    for _ in range(2):  # a tag is known after its first use
        assert shape(edn.read(text)) == shape(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nil"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (A, ":a"),
        (edn_format.Symbol("x/y"), "x/y"),
        (Tagged("t", [1, None]), "#t [1 nil]"),
        (Char("a"), r"\a"),
        (Char("!"), r"\!"),
        (Char("~"), r"\~"),
        (Char("\x7f"), r"\u007f"),
        (Char("é"), r"\u00e9"),
        (Char("\n"), r"\newline"),
        (Char("\r"), r"\return"),
        (Char(" "), r"\space"),
        (Char("\t"), r"\tab"),
        ("a", '"a"'),
        ('"\\\n\r\t', r'"\"\\\n\r\t"'),
        ("\x00 ~\x7f\x9f\u2028é", r'"\u0000 ~\u007f\u009f\u2028é"'),
        (1.5, "1.5"),
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (float("nan"), "##NaN"),
        (float("inf"), "##Inf"),
        (float("-inf"), "##-Inf"),
        ([], "[]"),
        ([1, "a", (2, [3])], '[1 "a" [2 [3]]]'),
        (edn_format.ImmutableList([1, 2]), "[1 2]"),
        (set(), "#{}"),
        ({3, 1, 2}, "#{1 2 3}"),
        (frozenset({A, "b"}), '#{"b" :a}'),
        ({}, "{}"),
        ({B: [1], A: {"x": 2}}, '{:a {"x" 2}, :b [1]}'),
        (edn_format.ImmutableDict({1: 2}), "{1 2}"),
        (Decimal("1.50"), "1.5M"),
        (Decimal("-12.00"), "-12M"),
        (Decimal("100"), "1E+2M"),
        (Decimal("0.00"), "0M"),
        (Decimal("-0"), "0M"),
        (Decimal("1.2345678901234567890123456789012340"), "1.234567890123456789012345678901234M"),
        (Decimal("Infinity"), "InfinityM"),
        (Fraction(2, 3), "2/3"),
        (date(2024, 5, 6), '#inst "2024-05-06T00:00:00+00:00"'),
        (datetime(2024, 5, 6, 7, 8), '#inst "2024-05-06T07:08:00+00:00"'),
        (datetime(2024, 5, 6, 7, 8, tzinfo=UTC), '#inst "2024-05-06T07:08:00+00:00"'),
        (
            datetime(2024, 5, 6, 7, 8, tzinfo=timezone(timedelta(hours=2))),
            '#inst "2024-05-06T05:08:00+00:00"',
        ),
        (UUID(int=1), '#uuid "00000000-0000-0000-0000-000000000001"'),
        (1j, '"1j"'),
    ],
)
def test_the_text_of_each_value(value: Any, text: str) -> None:
    assert edn.written(value) == text


def test_instants_without_a_time_zone_are_in_utc_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = [datetime(2024, 5, 6, 7, 8), datetime(2024, 5, 6, 7, 8, tzinfo=UTC)]
    try:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "EAST-3")
            time.tzset()
            texts = [edn.written(value) for value in (*values, date(2024, 5, 6))]
    finally:
        time.tzset()
    assert texts == [
        '#inst "2024-05-06T07:08:00+00:00"',
        '#inst "2024-05-06T07:08:00+00:00"',
        '#inst "2024-05-06T00:00:00+00:00"',
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", ":a"),
        ("a/b", ":a/b"),
        ("", '":"'),
        ("a b", '":a b"'),
        (":a", '"::a"'),
        ("a\n", r'":a\n"'),
    ],
)
def test_the_text_of_a_keyword(name: str, text: str) -> None:
    assert edn.keyword(name) == text


def test_a_keyword_prints_as_itself() -> None:
    assert repr([A, ":a"]) == "[:a, ':a']"
