"""Every trial of a job in this process, each to its `trial-finished`: what can end one beside its training."""

import dataclasses
from collections.abc import Callable

import torch

from trainers.contract import errors, interruption, job
from trainers.recipes import orders
from trainers.training import health, memory

#: one trial to its outcome; what its phases take is added to the seconds
RunTrial = Callable[[orders.Order, job.TrialSpec, dict[str, float]], str]


def run(order: orders.Order, run_trial: RunTrial) -> None:
    """Run every trial of a job, one after another; see `recipes.Recipe.run`.

    A trial that runs out of memory or that its parameters contradict ends here, and the next one begins.
    """
    for spec in order.job.trials:
        seconds = {"load": 0.0, "train": 0.0, "sample": 0.0, "score": 0.0}
        memory.forget_peak()
        try:
            outcome = run_trial(order, spec, seconds)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            outcome = "failed"
            message = (str(error).strip() or "out of memory").splitlines()[0]
            symptom = health.Symptom("out-of-memory", 0, message, {})
            order.reporter.tell("failed", spec.number, **dataclasses.asdict(symptom), fatal=True)
        except errors.ParameterError as error:
            orders.refuse(order.reporter, spec, str(error), seconds)
            continue
        except interruption.Interrupted:
            order.reporter.tell("trial-finished", spec.number, outcome="interrupted", seconds=seconds)
            raise
        order.reporter.tell("trial-finished", spec.number, outcome=outcome, seconds=seconds, **memory.peak())


def _is_out_of_memory(error: Exception) -> bool:
    """Whether an error is a device's or the host's missing memory; the host's comes as a plain RuntimeError."""
    known = ("can't allocate memory", "bad_alloc", "could not create a memory", "could not create a primitive")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in known)
