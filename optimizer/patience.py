"""Waiting for a database that is away: a server that restarts, a network that comes back."""

import dataclasses
import logging
import time
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from storage import database as databases
from storage import errors

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

#: seconds before the second try, doubled with each further one up to the longest
_FIRST_SECONDS, LONGEST_SECONDS = 0.2, 5.0
#: seconds between two looks at whether the worker was asked to stop
_LOOK_SECONDS = 0.2


def back_off(tries: int) -> float:
    """Seconds to wait after so many failed tries."""
    return float(min(_FIRST_SECONDS * 2 ** min(tries - 1, 30), LONGEST_SECONDS))


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long one worker waits for its database. What is wrong with a statement is never waited for.

    Attributes:
        wait_seconds: an outage that lasts longer is an error.
        should_stop: a worker that was asked to stop waits for nothing.
    """

    database: databases.Database
    wait_seconds: float
    should_stop: Callable[[], bool]

    def call(self, act: Callable[[], _Answer], *, afterwards_seconds: float = 0.0) -> _Answer:
        """Do something with the database, again from its start where the database went away meanwhile.

        Args:
            act: done whole or not at all, or such that doing it twice is as good as once.
            afterwards_seconds: how long to leave a database alone that has just come back.

        Raises:
            errors.DatabaseUnreachable: the database stayed away, or the worker was asked to stop.
        """
        while True:
            try:
                return act()
            except errors.DatabaseUnreachable as error:
                logger.warning("the database is waited for: %s", error)
                self._wait(error)
                self._sleep(afterwards_seconds)

    def _wait(self, error: errors.DatabaseUnreachable) -> None:
        """Return when the database answers again."""
        began, tries = time.monotonic(), 0
        while True:
            tries += 1
            if time.monotonic() - began > self.wait_seconds or self.should_stop():
                raise error
            self._sleep(back_off(tries))
            try:
                with self.database.transaction() as connection:
                    connection.execute(sa.text("SELECT 1"))
            except errors.DatabaseUnreachable as still:
                error = still
            else:
                logger.warning("the database is back after %.0f s", time.monotonic() - began)
                return

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.should_stop():
            time.sleep(min(left, _LOOK_SECONDS))
