"""Ending a trainer's process group, whoever its orphans go to."""

import pathlib
import subprocess
import sys

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]

#: a launcher that dies of SIGTERM at once, like accelerate, and its child that ends in order a moment later
GROUP = """\
import os, signal, sys, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), os._exit(0)))
    print("ready", flush=True)
    while True:
        time.sleep(0.05)
time.sleep(3600)
"""

#: becomes the parent of all orphans below it, as process 1 of a container is; Linux's PR_SET_CHILD_SUBREAPER
ADOPT = "import ctypes; assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0\n"

END = f"""\
import subprocess, sys
from optimizer.running import launch
process = subprocess.Popen([sys.executable, "-c", {GROUP!r}], stdout=subprocess.PIPE, start_new_session=True)
process.stdout.readline()
launch.end(process)
print("ended", process.poll())
"""

NEVER_BURIES = f"""\
{ADOPT}import subprocess, sys, time
worker = subprocess.run([sys.executable, "-c", {END!r}], stdout=subprocess.PIPE, text=True)
print(worker.stdout, end="")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux's subreapers stand for process 1")
@pytest.mark.parametrize(
    "program",
    [pytest.param(ADOPT + END, id="the worker is process 1"), pytest.param(NEVER_BURIES, id="process 1 buries nobody")],
)
def test_a_group_has_ended_when_all_that_is_left_of_it_are_the_dead(program: str) -> None:
    """The grace is a minute; this is over long before, or fails."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=40, check=True)
    assert done.stdout == "ended -15\n"
