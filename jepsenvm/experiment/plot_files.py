"""Writes the plots of a stored run to files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from jepsenvm.errors import RunError
from jepsenvm.experiment.draft import draft_of
from jepsenvm.experiment.stored_run import load_run
from jepsenvm.report.figure import image
from jepsenvm.report.plot import plots

FOLDER: Final = "plots"


def write_plots(path: Path, format_: str, output: Path | None) -> Iterator[Path]:
    """Write the plots of the run at a path; yield each file.

    ``output`` is their folder, by default ``plots`` in the folder of the run or next to the history
    file. Raises RunError if a file cannot be written.
    """
    run = load_run(path)
    folder = output or (path if path.is_dir() else path.parent) / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be made: {error.strerror}", remedy="choose another folder with -o"
        ) from None
    for name, figure in plots(run):
        target = folder / f"{name}.{format_}"
        with draft_of(target) as out:
            out.write(image(figure, format_))
        yield target
