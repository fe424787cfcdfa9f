"""SIGTERM and SIGINT: finish the step, write a checkpoint, leave with ExitCode.INTERRUPTED."""

import signal
import types


class Interrupted(Exception):
    """The process was asked to stop. Raised between steps only, where stopping is safe."""


class Interruption:
    """Whether the process was asked to stop, by a signal or otherwise; while `idle`, a signal interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        self.signalled = False
        self.idle = False

    def install(self) -> None:
        """Take over SIGTERM and SIGINT."""
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def check(self) -> None:
        """Raise `Interrupted` if the process was asked to stop."""
        if self.requested:
            raise Interrupted

    def _ask(self, number: int, frame: types.FrameType | None) -> None:
        self.requested = self.signalled = True
        if self.idle:
            raise Interrupted
