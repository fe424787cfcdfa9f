"""Waiting for another trainer's process. Torch-free."""

import subprocess

from trainers import interruption

#: seconds between two looks at whether the process should be asked to stop
_POLL_SECONDS = 0.1


def wait(process: subprocess.Popen[bytes], asked: interruption.Interruption) -> int:
    """Wait for a process, handing on a wish to stop as SIGTERM; returns its exit code."""
    handed_on = False
    while True:
        try:
            return process.wait(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if asked.requested and not handed_on:
                process.terminate()
                handed_on = True
