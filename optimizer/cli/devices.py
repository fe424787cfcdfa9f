"""What the workers of a command train on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer import opening
    from optimizer.running import launch


def chosen(services: "opening.Services", gpu: int | None, cpu: bool, workers: int | None) -> "list[launch.Device]":
    """What to train on, a device a worker: the GPU that a person asked for, else all of them, else the CPU.

    Several workers on the CPU share its cores, since more threads than cores slow all of them down.
    """
    from optimizer import errors
    from optimizer.forecast import situation as situations
    from optimizer.running import launch

    there = situations.gpus().count
    threads = services.settings.trainer_threads
    if gpu is not None:
        if gpu >= there:
            raise errors.BadInput(f"--gpu {gpu}: this machine has {there} GPUs, counted from 0")
        return [launch.Device(gpu, threads)] * (workers or 1)
    if cpu or not there:
        count = workers or 1
        share = threads if count == 1 else threads or max(1, launch.cores() // count)
        return [launch.Device(None, share)] * count
    return [launch.Device(number % there, threads) for number in range(workers or there)]
