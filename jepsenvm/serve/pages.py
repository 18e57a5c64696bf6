"""The pages of `jepsenvm serve`. Everything that comes from a run stays text."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from urllib.parse import quote

import jinja2

from jepsenvm.campaign.wording import share, verdicts
from jepsenvm.errors import printable, shorten
from jepsenvm.serve.place import Place
from jepsenvm.serve.run_facts import GOING_ON

COLUMNS: Final = {
    "began": "began (UTC)",
    "name": "name",
    "verdict": "verdict",
    "workload": "workload",
    "nemesis": "nemesis",
    "version": "RabbitMQ",
    "acknowledged": "acknowledged",
    "lost": "lost",
}
"""The columns of the list, by what they are sorted by."""

FILTERS: Final = {
    "verdict": "Verdict",
    "workload": "Workload",
    "nemesis": "Nemesis",
    "version": "RabbitMQ",
    "campaign": "Campaign",
}


def rendered(template: str, **values: object) -> str:
    """Return a page."""
    return printable(_ENVIRONMENT.get_template(template).render(**values))


def _address(place: Place) -> str:
    words = (quote(word, safe="") for word in place.address)
    return f"/{'/'.join(words)}/"


def _moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


_ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader(__package__),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    address=_address,
    moment=_moment,
    count=_count,
    short=shorten,
    word=lambda name: quote(name, safe=""),
    share=share,
    verdicts=verdicts,
)
_ENVIRONMENT.globals.update(COLUMNS=COLUMNS, FILTERS=FILTERS, GOING_ON=GOING_ON)
