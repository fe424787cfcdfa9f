"""What can go wrong for a trainer's caller.

TrainersError
├── JobError            the job file cannot be read or says something impossible
├── ParameterError      a trial's parameters contradict each other: its own fault, other trials may be well
├── DatasetError        images or captions are missing or unreadable (each one named)
├── ModelError          the base model, its adapters or a scorer cannot be loaded
└── EventError          an event file holds a line that is no event
"""

import textwrap


class TrainersError(Exception):
    """Something the caller of a trainer must mend; the message says what, where and how."""


class JobError(TrainersError):
    """The job file cannot be read or says something impossible."""


class ParameterError(TrainersError):
    """A trial's parameters contradict each other; other trials of the same job file may be well."""


class DatasetError(TrainersError):
    """Images or captions are missing or unreadable; the message names each one."""


class ModelError(TrainersError):
    """A model cannot be loaded."""


class EventError(TrainersError):
    """An event file holds a line that is no event."""


def reason(error: BaseException) -> str:
    """What a library's error says, in one line: its first, and the next one where the first only announces it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    return textwrap.shorten(said, 300, placeholder=" ...") or type(error).__name__
