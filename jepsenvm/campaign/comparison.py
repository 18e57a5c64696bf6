"""The difference between two campaigns, or between two versions of RabbitMQ in campaigns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jepsenvm.campaign.spec import VERSION
from jepsenvm.campaign.summary import Line, Summary


class Change(StrEnum):
    """How the outcome of the same settings changed."""

    WORSE = "worse"
    BETTER = "better"
    UNCLEAR = "unclear"
    """One of the two is unknown, or was not run."""
    SAME = "same"
    ONLY_BEFORE = "only before"
    ONLY_AFTER = "only after"


@dataclass(frozen=True)
class Difference:
    """The same settings in two campaigns."""

    settings: Mapping[str, str]
    before: Line | None
    after: Line | None

    @property
    def change(self) -> Change:
        """How the outcome changed, by the share of invalid runs.

        Of shares that are both above 0, only intervals that do not overlap count as a change.
        """
        if self.before is None:
            return Change.ONLY_AFTER
        if self.after is None:
            return Change.ONLY_BEFORE
        return _change(self.before, self.after)


def _change(before: Line, after: Line) -> Change:
    old, new = before.failures, after.failures
    if old.interval is None or new.interval is None:
        return Change.UNCLEAR
    if old.count and new.count:
        if new.interval.low > old.interval.high:
            return Change.WORSE
        return Change.BETTER if new.interval.high < old.interval.low else Change.SAME
    if old.count or new.count:
        return Change.WORSE if new.count else Change.BETTER
    undecided = any(side.failures.total < len(side.results) for side in (before, after))
    return Change.UNCLEAR if undecided else Change.SAME


def differences(
    before: Summary, after: Summary, versions: tuple[str, str] | None = None
) -> Sequence[Difference]:
    """Return the difference for each combination of settings.

    With ``versions``, the lines of the one version in ``before`` are compared with those of the
    other in ``after``. The partition handling that a version ignores is then no difference.
    """
    old_version, new_version = versions or (None, None)
    old = _by_settings(before.lines, old_version)
    new = _by_settings(after.lines, new_version)
    if versions is not None:
        new = _matched(old, new)
    keys = list(dict.fromkeys([*old, *new]))
    return [Difference(dict(key), old.get(key), new.get(key)) for key in keys]


_Settings = tuple[tuple[str, str], ...]


def _by_settings(lines: Iterable[Line], version: str | None) -> dict[_Settings, Line]:
    found: dict[_Settings, Line] = {}
    for line in lines:
        if version is None:
            found[tuple(line.settings.items())] = line
        elif line.settings.get(VERSION) == version:
            rest = {key: value for key, value in line.settings.items() if key != VERSION}
            found[tuple(rest.items())] = line
    return found


def _matched(old: Mapping[_Settings, Line], new: Mapping[_Settings, Line]) -> dict[_Settings, Line]:
    """Return the new lines by the settings of the old lines that they are compared with.

    A new line whose version ignores a setting is compared with every old line that differs from it
    only in that setting.
    """
    matched = dict(new)
    for settings, line in new.items():
        ignored = {key for key, value in settings if value == "-"}
        alike = [other for other in old if _without(other, ignored) == _without(settings, ignored)]
        if alike and settings not in old:
            del matched[settings]
            matched.update(dict.fromkeys(alike, line))
    return matched


def _without(settings: _Settings, keys: set[str]) -> _Settings:
    return tuple((key, value) for key, value in settings if key not in keys)


def exit_status(found: Iterable[Difference]) -> int:
    """Return 1 if something is worse, 2 if something is unclear, otherwise 0."""
    changes = {one.change for one in found}
    if Change.WORSE in changes:
        return 1
    return 2 if Change.UNCLEAR in changes or not changes else 0
