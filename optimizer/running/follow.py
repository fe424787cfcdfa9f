"""Reading a trainer's events while it works."""

import time
from collections.abc import Callable, Iterator

from trainers.contract import events, paths

#: seconds between two looks at the event file; a step of the demo base takes 0.05 s
POLL_SECONDS = 0.1


def follow(
    job: paths.JobPaths,
    reader: events.Reader,
    is_alive: Callable[[], bool],
    between: Callable[[], None],
) -> Iterator[events.Event]:
    """Yield a job's events as they come, until its `job-finished`, its exit code or the end of its process.

    Args:
        job: the folder of one attempt; an earlier attempt that is still alive somewhere tells in its own.
        reader: of the job's events.
        is_alive: whether the trainer process still is.
        between: called between two looks, for what must go on meanwhile (lease, display, a wish to stop).
    """
    while True:
        # looked at first: whatever was told until then is read below, so nothing is missed
        is_over = not is_alive() or job.exit_code.exists()
        fresh = reader.fresh()
        for event in fresh:
            yield event
            if event.event == "job-finished":
                return
        if is_over:
            return
        between()
        if not fresh:
            time.sleep(POLL_SECONDS)
