"""A file or a folder that appears only when it is complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jepsenvm.errors import RunError, UsageError


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


@contextmanager
def draft_folder_of(target: Path) -> Iterator[Path]:
    """Make a folder next to the target. It becomes the target if the context ends normally.

    Raises UsageError if the folder or a file in it cannot be written.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        draft.mkdir()
        yield draft
        draft.rename(target)
    except OSError as error:
        raise UsageError(
            f"{target}: cannot be written: {error.strerror or error}",
            remedy="choose another folder with -o",
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
