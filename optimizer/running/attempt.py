"""One attempt at a trial: from its job file, through its trainer's events, to what they come to."""

import dataclasses
import logging
import pathlib
import time

from optimizer import patience
from optimizer.running import disk, follow, guards, job_file, launch
from optimizer.running import watch as watches
from optimizer.trials import campaign as campaigns
from optimizer.trials import conclusion as score
from optimizer.trials import propose
from storage import runs
from trainers.contract import events, paths

logger = logging.getLogger(__name__)

#: lines of what a dead trainer printed that are kept with its trial
_LAST_LINES = 20


def run(
    campaign: campaigns.Campaign,
    launcher: launch.TrainerProcess,
    device: launch.Device,
    claim: propose.Claim,
    waiting: patience.Patience,
) -> score.Conclusion:
    """Run one attempt at a trial, from its job file to what its events come to.

    Raises:
        errors.BadInput: the disk takes no more; the message names the file.
        storage.errors.LeaseLost: the trial is another worker's by now.
        storage.errors.NotFound: the study was deleted.
        storage.errors.ServiceUnreachable: the database stayed away for too long.
    """
    number = waiting.call(lambda: runs.start(campaign.database, claim.lease, gpu=device.name))
    trial = job_file.trial_paths(campaign, claim.number)
    folder = paths.JobPaths(trial.attempt(number))
    conclusion = _train(campaign, launcher, claim, waiting, folder)
    _finish(campaign, claim, number, conclusion, waiting)
    return conclusion


def left_behind(
    campaign: campaigns.Campaign, claim: propose.Claim, waiting: patience.Patience
) -> score.Conclusion | None:
    """What an earlier attempt at this trial came to that nobody has told: its worker ended before it could.

    An attempt counts where its job is the one that this worker would write, and its events say that it came to its end.
    None where the trial has to be trained, or trained on.
    """
    attempts = waiting.call(lambda: runs.of_trial(campaign.database, campaign.study_id, claim.number))
    for number in reversed([each.attempt for each in attempts]):
        folder = paths.JobPaths(job_file.trial_paths(campaign, claim.number).attempt(number))
        if not job_file.is_the_same(job_file.of(campaign, claim, folder), folder.job):
            continue
        reader = events.Reader(folder.events)
        told = _of_trial(reader.fresh(), claim.number)
        conclusion = score.conclude(told, campaign.rules, campaign.study.objectives, claim.params)
        if conclusion.ending not in score.FINAL or not _is_whole(conclusion):
            continue
        conclusion = _with_problems(conclusion, reader)
        _finish(campaign, claim, number, conclusion, waiting)
        logger.info("trial %d had come to its end in attempt %d", claim.number, number, extra={"trial": claim.number})
        return conclusion
    return None


def _train(
    campaign: campaigns.Campaign,
    launcher: launch.TrainerProcess,
    claim: propose.Claim,
    waiting: patience.Patience,
    folder: paths.JobPaths,
) -> score.Conclusion:
    trial = job_file.trial_paths(campaign, claim.number)
    with disk.writing(folder.directory):
        disk.make_own(folder.directory)
        trial.stop.unlink(missing_ok=True)
        job_file.of(campaign, claim, folder).write(folder.job)
        began, printed = time.time(), launcher.printed()
        launcher.start(folder.job)
    reader = events.Reader(folder.events)
    watching = watches.Watch(campaign, launcher, claim, waiting, trial)
    guard = guards.Guard(claim.params)
    told: list[events.Event] = []
    for event in follow.follow(folder, reader, launcher.is_alive, watching.between):
        if not _of_trial([event], claim.number):
            continue
        told.append(event)
        campaign.observer.event(claim.number, event)
        if event.event == "checkpoint-set-aside":
            logger.warning(
                "trial %d begins anew: %s; kept as %s", claim.number, event.data["message"], event.data["path"]
            )
        watching.remember(event)
        watching.end_early(guard.broken(campaign.rules, event))
    watching.finish()
    conclusion = score.conclude(
        told, campaign.rules, campaign.study.objectives, claim.params, asked_to_stop=watching.interrupted
    )
    conclusion = _with_problems(dataclasses.replace(conclusion, seconds=_seconds(conclusion, told, began)), reader)
    if conclusion.ending is score.Ending.CRASHED:
        launcher.close()
        with disk.writing(folder.directory):  # a trainer whose last words it did not take looks like one that crashed
            disk.probe(folder.directory)
        message = conclusion.message or _last_words(folder.console, 0) or _last_words(launcher.console, printed)
        message = message or "the trainer process ended without a word"
        conclusion = dataclasses.replace(conclusion, message=message)
    return conclusion


def _of_trial(told: list[events.Event], number: int) -> list[events.Event]:
    """This trial's events and the job's own."""
    return [event for event in told if event.trial in (None, number)]


def _is_whole(conclusion: score.Conclusion) -> bool:
    """Whether the LoRA and the pictures that an attempt told of are still there."""
    files = [str(image["path"]) for image in conclusion.images]
    files += [conclusion.lora] if conclusion.lora is not None else []
    return all(pathlib.Path(file).is_file() for file in files)


def _finish(
    campaign: campaigns.Campaign,
    claim: propose.Claim,
    number: int,
    conclusion: score.Conclusion,
    waiting: patience.Patience,
) -> None:
    waiting.call(
        lambda: runs.finish(
            campaign.database,
            campaign.study_id,
            claim.number,
            number,
            outcome=conclusion.ending.value,
            exit_code=conclusion.exit_code,
            failure_kind=None if conclusion.failure is None else conclusion.failure.kind,
            step=conclusion.steps,
            seconds=conclusion.seconds,
            message=conclusion.message,
        )
    )


def _with_problems(conclusion: score.Conclusion, reader: events.Reader) -> score.Conclusion:
    """Name the lines that were left out of an event file."""
    if not reader.problems:
        return conclusion
    more = len(reader.problems) - 1
    said = f"{reader.problems[0]}{f' (and {more} more lines)' if more else ''} was left out"
    logger.warning("%s", said)
    return dataclasses.replace(conclusion, message="\n".join(filter(None, (conclusion.message, said))))


def _seconds(conclusion: score.Conclusion, told: list[events.Event], began: float) -> dict[str, float]:
    """The trainer's own phases, with the time before its first word as the launch."""
    first = told[0].time if told else time.time()
    return {"launch": round(max(0.0, first - began), 3), **conclusion.seconds}


def _last_words(console: pathlib.Path, offset: int) -> str:
    """The end of what was printed into a file from an offset on."""
    try:
        printed = console.read_bytes()[offset:]
    except OSError:
        return ""
    return "\n".join(printed.decode("utf-8", "replace").splitlines()[-_LAST_LINES:])
