"""One run as a single HTML page: the verdict, why, the plots, and the figures; nothing is loaded from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import jinja2
from markupsafe import Markup

from jepsenvm.checkers.verdict import Results
from jepsenvm.history.table import History
from jepsenvm.report.plot import latencies, losses, rates, violation
from jepsenvm.report.terminal import verdict_lines

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{ verdict }} - {{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { padding: .4rem .8rem; color: #fff; border-radius: .3rem }
h1.valid { background: #2e7d32 } h1.invalid { background: #c62828 } h1.unknown { background: #b26a00 }
svg { width: 100%; height: auto } table { border-collapse: collapse }
td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto }
</style>
<h1 class="{{ verdict }}">{{ verdict|upper }}</h1>
<p>{{ title }}</p>
<pre>{% for line in lines %}{{ line }}
{% endfor %}</pre>
{% for plot in plots %}{{ plot }}{% endfor %}
<h2>Faults</h2>
{% if windows %}<table>
<tr><th>fault<th>whom<th>in force<th>healed<th>proven<th>skew<th>acknowledged meanwhile</tr>
{% for w in windows %}<tr><td>{{ w.window }} {{ w.fault.name }}
<td>{{ w.fault.text }}
<td>{{ w["in-force"] }} s<td>{{ w.healed }} s<td>{{ "yes" if w.proven else "NO" }}
<td>{{ "-" if w["skew-ms"] is none else w["skew-ms"] ~ " ms" }}
<td>{{ w["acknowledged-count"] }}</tr>
{% endfor %}</table>{% else %}<p>none</p>{% endif %}
{% if availability %}<h2>Availability</h2>
<table><tr><th>node<th>longest without any ok<th>all that were longer than 1 s
{% for w in availability.windows %}<th>first ok in fault {{ w.window }}<th>after its healing{% endfor %}</tr>
{% for node, silence in availability.nodes.items() %}<tr><td>{{ node }}
<td>{{ silence["longest-gap-seconds"] }} s<td>{{ silence["without-ok-seconds"] }} s
{% for w in availability.windows %}{% for key in ("in-force-to-ok-seconds", "heal-to-ok-seconds") %}
<td>{{ "-" if w.nodes[node][key] is none else w.nodes[node][key] ~ " s" }}{% endfor %}{% endfor %}</tr>
{% endfor %}</table>{% endif %}
<h2>Ops by node</h2>
<table><tr><th>op<th>node<th>ok<th>fail<th>info</tr>
{% for f, nodes in ops.items() %}{% for node, c in nodes.items() %}
<tr><td>{{ f }}<td>{{ node }}<td>{{ c.ok }}<td>{{ c.fail }}<td>{{ c.info }}</tr>{% endfor %}{% endfor %}
</table>
<h2>Plan</h2><pre>{{ plan }}</pre>
<h2>Results</h2><pre>{{ results }}</pre>
</html>
"""

DONE: Final = {
    "enqueue": "confirmed",
    "acquire": "acquired",
    "dequeue": "delivered",
    "read": "read",
}
"""What has been done when an op of this f is ok, for those of which there are plots."""


def page(title: str, plan: str, results: Results, history: History) -> str:
    """Return the page of one run."""
    figures: Mapping[str, Mapping[str, Any]] = {
        name: result.figures for name, result in results.checkers.items()
    }
    plots = [violation(result.figures.get("violation")) for result in results.checkers.values()]
    for f, done in DONE.items():
        if history.count("ok", f):
            plots += [
                rates(history, f, f"{done} in each second"),
                latencies(history, f, f"until it was {done}"),
            ]
    plots.append(losses(history))
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_PAGE).render(
        title=title,
        verdict=str(results.verdict),
        lines=list(verdict_lines(results)),
        plots=[Markup(plot) for plot in plots if plot],  # noqa: S704 - drawn by us, its texts escaped by matplotlib
        windows=figures.get("faults", {}).get("windows", []),
        availability=figures.get("availability"),
        ops=figures.get("stats", {}).get("by-f", {}),
        plan=plan,
        results=json.dumps(results.as_data(), indent=1, default=str),
    )
