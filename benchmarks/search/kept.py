"""Outcomes of a long measurement in a file, so that a run that was cut short goes on where it ended."""

import functools
import json
import multiprocessing
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Job = TypeVar("Job", bound=tuple[Any, ...])


def run(
    one: Callable[[Job], Any], jobs: Sequence[Job], processes: int, file: pathlib.Path | None = None
) -> dict[Job, Any]:
    """What each job comes to, as JSON holds it.

    Args:
        one: a function of a module, or a partial of one; it runs in another process.
        file: what it holds is not run again, and every outcome is added to it.
    """
    found = {} if file is None or not file.exists() else _read(file)
    with multiprocessing.Pool(processes) as pool:
        open_ = [job for job in jobs if job not in found]
        for job, outcome in pool.imap_unordered(functools.partial(_named, one), open_, chunksize=1):
            found[job] = outcome
            print(f"\r{len(found)}/{len(jobs)}", end="", file=sys.stderr, flush=True)
            if file is not None:
                file.write_text(json.dumps([[*job, outcome] for job, outcome in found.items()]), encoding="utf-8")
    return {job: found[job] for job in jobs}


def _named(one: Callable[[Job], Any], job: Job) -> tuple[Job, Any]:
    return job, one(job)


def _read(file: pathlib.Path) -> dict[Any, Any]:
    return {tuple(row[:-1]): row[-1] for row in json.loads(file.read_text(encoding="utf-8"))}
