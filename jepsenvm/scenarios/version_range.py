"""Ranges of RabbitMQ versions, such as ``>=3.8,<4.0``."""

from __future__ import annotations

from typing import Annotated

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator


def contains(versions: str, running: str) -> bool:
    """Return whether a range contains the version of a broker.

    A pre-release counts as the release that it leads to. A version that is not understood is in no
    range.
    """
    try:
        release = Version(running).base_version
    except InvalidVersion:
        return False
    return SpecifierSet(versions).contains(release)


def _range(text: str) -> str:
    try:
        parts = SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError("must be a range of versions like >=3.8,<4.0") from None
    if not len(parts):
        raise ValueError("must not be empty")
    return text


VersionRange = Annotated[str, AfterValidator(_range)]
