"""The report of one run: a single HTML page that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup

from jepsenvm.errors import printable
from jepsenvm.report.sections import sections
from jepsenvm.report.stored_run import StoredRun
from jepsenvm.report.terminal import verdict_lines

TEMPLATE: Final = "page.html.j2"
SCRIPTS: Final = ("assets/echarts.min.js", "assets/report.js")
STYLE: Final = "assets/report.css"


def page(run: StoredRun) -> str:
    """Return the HTML page of one run."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    built = sections(run)
    scripts = [_text(name) for name in SCRIPTS]
    html = environment.from_string(_text(TEMPLATE)).render(
        run=run,
        verdict=str(run.results.verdict),
        lines=list(verdict_lines(run.results, run.presentation)),
        built=built,
        data=_embedded(built.data),
        # Both are files of this package. Nothing of a run is in them.
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        style=Markup(_text(STYLE)),  # noqa: S704
        policy=_policy(scripts),
        results=_results_text(run),
    )
    return printable(html)


def _policy(scripts: list[str]) -> str:
    """Return the Content-Security-Policy: only the scripts of this package run, nothing is loaded.

    The charts and their tooltips set styles, so these need ``unsafe-inline``.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(printable(script).encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _embedded(data: Any) -> Markup:
    """Return data as JSON that cannot end the script element it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - no character of markup is left


MOST_RESULT_CHARACTERS: Final = 400_000


def _results_text(run: StoredRun) -> str:
    """Return the results as JSON, cut if they are very long; results.json has them all."""
    text = json.dumps(run.results.as_data(), indent=1)
    if len(text) <= MOST_RESULT_CHARACTERS:
        return text
    return f"{text[:MOST_RESULT_CHARACTERS]}\n... cut; `jepsenvm check --json` prints all"


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
