"""Logging: sentences for a person on a terminal, JSON lines for a machine."""

import json
import logging
import sys
from typing import TextIO

#: what a log record has by itself; everything else came through `extra=`
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message and the record's extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in _OWN}
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extra,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up(*, verbose: bool, stream: TextIO = sys.stderr) -> None:
    """Attach one handler to our packages' loggers; called once, by the command line."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s") if stream.isatty() else JsonLines())
    for package in ("optimizer", "constraints", "storage", "trainers"):
        logger = logging.getLogger(package)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if verbose else logging.WARNING)
