"""A file that appears only when it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jepsenvm.errors import RunError


@contextmanager
def draft_of(target: Path) -> Iterator[BinaryIO]:
    """Open a draft next to the target. It replaces the target if the context ends normally.

    Raises RunError if the draft or the target cannot be written.
    """
    draft = target.with_name(f".{target.name}.draft")
    try:
        with draft.open("wb") as out:
            yield out
        draft.replace(target)
    except OSError as error:
        raise RunError(
            f"{target}: cannot be written: {error.strerror or error}",
            remedy="choose another -o",
        ) from None
    finally:
        draft.unlink(missing_ok=True)
