"""The standard input of child processes: never the one of jepsenvm itself.

Ansible refuses a standard input that does not block, and a program that reads it would take what
was meant for another one.
"""

from __future__ import annotations

import ast
from pathlib import Path

import jepsenvm

PACKAGE = Path(jepsenvm.__file__).parent


def test_every_child_process_gets_a_standard_input_of_its_own() -> None:
    inheriting = [
        f"{file.relative_to(PACKAGE)}:{call.lineno}"
        for file in PACKAGE.rglob("*.py")
        if "remote" not in file.parts  # programs that hosts run
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in ("subprocess.run", "subprocess.Popen")
        and not {"stdin", "input"} & {keyword.arg for keyword in call.keywords}
    ]
    assert inheriting == []
