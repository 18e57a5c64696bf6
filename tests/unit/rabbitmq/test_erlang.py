"""Names become Erlang terms and shell words, never code."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jepsenvm
from jepsenvm.errors import UsageError
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.marker import Marker
from jepsenvm.rabbitmq import ctl
from jepsenvm.rabbitmq.erlang import Atom, Erlang
from jepsenvm.rabbitmq.policies import of_run

PACKAGE = Path(jepsenvm.__file__).parent
HOSTILE = [
    '">>), os:cmd("touch /tmp/x"), rabbit_misc:r(<<"/',
    "'). halt(). %",
    "$(touch /tmp/x)",
    "`touch /tmp/x`",
    "a\nEXPRESSION\ntouch /tmp/x",
    "\\",
    "\u202eq\x1b[2J",
    "\udcff",
    "ü",
]


def bytes_of(term: str) -> bytes:
    """Return the bytes of an Erlang binary."""
    text = re.fullmatch(r'<<"([A-Za-z0-9 _.:@/-]*)">>', term)
    if text:
        return text[1].encode()
    numbers = re.fullmatch(r"<<((?:\d+,)*\d+)>>", term)
    assert numbers, term
    return bytes(map(int, numbers[1].split(",")))


@given(st.text())
def test_any_text_becomes_a_binary(text: str) -> None:
    assert bytes_of(Erlang("$name", name=text).code) == text.encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_a_name(name: str) -> None:
    code = Erlang("f($name).", name=name).code
    assert bytes_of(code[2:-2]) == name.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", [*HOSTILE, "", "a b", "x" * 256])
def test_an_atom_is_the_name_of_a_node(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of an Erlang node"):
        Atom(name)


def test_terms() -> None:
    code = Erlang("f($a, $b, $c).", a=Atom("rabbit@n1.example.org"), b=3, c="jepsenvm.q").code
    assert code == "f('rabbit@n1.example.org', 3, <<\"jepsenvm.q\">>)."


@pytest.mark.parametrize("template", ["os:cmd(`id`).", "\\ x.", "a\x00."])
def test_an_expression_has_no_character_of_a_shell(template: str) -> None:
    with pytest.raises(ValueError, match="a shell could interpret"):
        Erlang(template)


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield file, node


def test_every_expression_is_a_constant_with_values() -> None:
    expressions = [
        (file, call)
        for file, call in calls()
        if isinstance(call.func, ast.Name) and call.func.id == "Erlang"
    ]
    assert len(expressions) > 4
    for file, call in expressions:
        (template,) = call.args
        constants = _text_constants(file)
        assert isinstance(template, ast.Constant) or ast.unparse(template) in constants, (
            f"{file.name}:{call.lineno}"
        )


def _text_constants(file: Path) -> set[str]:
    """Return the names that a module binds to a text, and binds once."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    stored = Counter(
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    return {
        each.target.id
        for each in tree.body
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and isinstance(each.value, ast.Constant)
        and stored[each.target.id] == 1
    }


def test_nothing_else_reaches_eval() -> None:
    with_eval = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if re.search(r"rabbitmqctl[^\n]* eval|[\"']eval[\"']", file.read_text(encoding="utf-8"))
    }
    remote = "machines/remote/broker_version.py"
    questions = "rabbitmq/questions.py"  # it evaluates an Erlang, as below
    assert with_eval == {"rabbitmq/ctl.py", "rabbitmq/erlang.py", questions, remote}
    fixed = '("rabbitmqctl", "--quiet", "eval", "rabbit_misc:version()."),'
    assert fixed in (PACKAGE / remote).read_text(encoding="utf-8")
    words = [
        ast.unparse(call)
        for file, call in calls()
        if file.name == "ctl.py" and "'eval'" in ast.unparse(call)
    ]
    assert words == ["_ctl(fleet, node, 'eval', expression.code, timeout=timeout)"]


@pytest.mark.parametrize("content", ["it's", "$(id)", "a\nb", "-x", ""])
def test_a_marker_keeps_any_content(content: str, tmp_path: Path) -> None:
    script = (
        Marker(name="m", undo="", report="").set(content).replace("/run/jepsenvm", str(tmp_path))
    )
    subprocess.run(["sh", "-ec", script], check=True)
    assert (tmp_path / "m").read_text() == content


@pytest.mark.parametrize("word", ["a$(id)", "a`id`", "a\\", "a\nb", "$HOME", "a\x1b"])
def test_rabbitmqctl_gets_no_word_that_its_wrapper_would_run(word: str) -> None:
    with pytest.raises(UsageError, match="rabbitmqctl cannot take"):
        ctl._ctl(Fleet([]), "n1", "set_permissions", word, timeout=1)


def test_the_pattern_of_a_policy_matches_the_queues_of_one_run() -> None:
    pattern = of_run("jepsenvm.mirrored.20260101T000000.5Z")
    assert ctl._ARGUMENT.fullmatch(pattern)
    assert re.search(pattern, "jepsenvm.mirrored.20260101T000000.5Z")
    assert re.search(pattern, "jepsenvm.mirrored.20260101T000000.5Z.17")
    assert not re.search(pattern, "jepsenvm.mirrored.20260101T000000x5Z")
    assert not re.search(pattern, "my.jepsenvm.mirrored.20260101T000000.5Z")
    with pytest.raises(ValueError, match="not the name"):
        of_run("a|.*")
