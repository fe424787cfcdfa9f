"""What can go wrong for a trainer's caller.

TrainersError
├── JobError            the job file cannot be read or says something impossible
├── DatasetError        images or captions are missing or unreadable (each one named)
├── ModelError          the base model, its adapters or the CLIP model cannot be loaded
└── EventError          an event file holds a line that is no event
"""


class TrainersError(Exception):
    """Something the caller of a trainer must mend; the message says what, where and how."""


class JobError(TrainersError):
    """The job file cannot be read or says something impossible."""


class DatasetError(TrainersError):
    """Images or captions are missing or unreadable; the message names each one."""


class ModelError(TrainersError):
    """A model cannot be loaded."""


class EventError(TrainersError):
    """An event file holds a line that is no event."""
