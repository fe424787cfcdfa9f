"""Waiting for another trainer's process. Torch-free."""

import subprocess
import time

from trainers.contract import interruption

#: seconds between two looks at whether the process should be asked to stop
_POLL_SECONDS = 0.1
#: seconds that it has to keep what it has after SIGTERM; then it is killed, since another worker may go on by now
GRACE_SECONDS = 50.0


def wait(process: subprocess.Popen[bytes], asked: interruption.Interruption) -> int:
    """Wait for a process, handing on a wish to stop as SIGTERM, and as SIGKILL later; returns its exit code."""
    deadline = None
    while True:
        try:
            return process.wait(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if asked.requested and deadline is None:
                process.terminate()
                deadline = time.monotonic() + GRACE_SECONDS
            elif deadline is not None and time.monotonic() > deadline:
                process.kill()
