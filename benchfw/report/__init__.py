"""The report of a run: one HTML file that answers the question, and with which the answer can be defended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "report.html"


def write_report(
    directory: Path, out: Path | None = None, *, metric: str | None = None, images: bool | None = None
) -> Path:
    """Write the report of the run in a directory, whole or not at all; returns where it is.

    out: the file; default report.html in the directory. metric: that of answer, plots and tests; default the
    experiment's. images: whether training images are shown; default where all cells say that the data is public. Equal
    directories give equal bytes. Raises UsageError when the directory holds no run or its table no such metric,
    StoreError when the file cannot be written.
    """
    from benchfw.report.content import gather
    from benchfw.report.page import rendered
    from benchfw.report.reading import read
    from benchfw.store import write_atomically

    run = read(directory)
    page = rendered(gather(run, metric or run.experiment.metric, images=images))
    place = directory / NAME if out is None else out
    write_atomically(place, page.encode())
    return place
