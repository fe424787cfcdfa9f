"""One attempt at a trial: from its job file, through its trainer's events, to what they come to."""

import dataclasses
import logging
import pathlib
import time
from collections.abc import Iterator, Sequence

from optimizer import patience
from optimizer import settings as settings_module
from optimizer.rules import book as rulebook
from optimizer.rules import compiled
from optimizer.running import disk, follow, guards, job_file, launch
from optimizer.running import pruning as prunings
from optimizer.running import watch as watches
from optimizer.study import resolved as studies
from optimizer.trials import claims
from optimizer.trials import conclusion as conclusions
from optimizer.trials import observer as observers
from optimizer.trials import rows as trial_rows
from storage import attempts as stored_attempts
from trainers.contract import events, job, paths

logger = logging.getLogger(__name__)

#: lines of what a dead trainer printed that are kept with its trial
_LAST_LINES = 20


@dataclasses.dataclass(frozen=True)
class Attempts:
    """One worker's attempts at trials, on one device.

    Attributes:
        study: what is tried.
        rows: where its trials are kept.
        book: the rules that watch a training and judge its result, as they stand.
        pruning: ends trials that fall behind.
        settings: where files of runs lie.
        launcher: starts trainer processes on the device.
        device: what is trained on.
        observer: is told what trainers tell.
    """

    study: studies.Study
    rows: trial_rows.Rows
    book: rulebook.Rulebook
    pruning: prunings.Pruning
    settings: settings_module.Settings
    launcher: launch.TrainerProcess
    device: launch.Device
    observer: observers.Observer

    def run(self, claim: claims.Claim, waiting: patience.Patience) -> conclusions.Conclusion:
        """Run one attempt at a trial, from its job file to what its events come to.

        Raises:
            errors.BadInput: the disk takes no more; the message names the file.
            storage.errors.LeaseLost: the trial is another worker's by now.
            storage.errors.NotFound: the study was deleted.
            storage.errors.DatabaseUnreachable: the database stayed away for too long.
        """
        number = waiting.call(lambda: stored_attempts.start(self.rows.database, claim.lease, device=self.device.name))
        folder = paths.JobPaths(self.place(claim).attempt(number))
        conclusion = self._train(claim, number, waiting, folder)
        self._finish(claim, number, conclusion, waiting)
        return conclusion

    def left_behind(self, claim: claims.Claim, waiting: patience.Patience) -> conclusions.Conclusion | None:
        """What an earlier attempt at this trial came to that nobody has told: its worker ended before it could.

        An attempt counts where its job is the one that this worker would write, and its events say that it came to its
        end. None where the trial has to be trained, or trained on.
        """
        attempts = waiting.call(lambda: stored_attempts.of_trial(self.rows.database, self.rows.study_id, claim.number))
        for number in reversed([each.attempt for each in attempts]):
            folder = paths.JobPaths(self.place(claim).attempt(number))
            if not job_file.is_the_same(self._job(claim, folder), folder.job):
                continue
            reader = events.Reader(folder.events)
            conclusion = self._conclude(_of_trial(reader.fresh(), claim.number), claim)
            if conclusion.ending not in conclusions.FINAL or not _is_whole(conclusion):
                continue
            conclusion = _with_problems(conclusion, reader)
            self._finish(claim, number, conclusion, waiting)
            logger.info(
                "trial %d had come to its end in attempt %d", claim.number, number, extra={"trial": claim.number}
            )
            return conclusion
        return None

    def place(self, claim: claims.Claim) -> paths.TrialPaths:
        """Where everything of a trial lies."""
        return self.settings.trial_paths(self.rows.stored.folder, claim.number)

    def _train(
        self, claim: claims.Claim, number: int, waiting: patience.Patience, folder: paths.JobPaths
    ) -> conclusions.Conclusion:
        trial = self.place(claim)
        with disk.writing(folder.directory):
            disk.make_own(folder.directory)
            trial.stop.unlink(missing_ok=True)
            self._job(claim, folder).write(folder.job)
            began, printed = time.time(), self.launcher.printed()
            self.launcher.start(folder.job)
        reader = events.Reader(folder.events)
        watching = watches.Watch(self.rows, self.pruning, self.launcher, claim, waiting, trial, number)
        told = list(self._events(claim, folder, reader, watching))
        watching.finish()
        conclusion = self._conclude(told, claim, asked_to_stop=watching.interrupted)
        conclusion = _with_problems(dataclasses.replace(conclusion, seconds=_seconds(conclusion, told, began)), reader)
        if conclusion.ending is conclusions.Ending.CRASHED:
            self.launcher.close()
            with disk.writing(folder.directory):  # where it took no last words, a trainer looks like one that crashed
                disk.probe(folder.directory)
            words = _last_words(folder.console, 0) or _last_words(self.launcher.console, printed)
            message = conclusion.message or words or "the trainer process ended without a word"
            conclusion = dataclasses.replace(conclusion, message=message)
        return conclusion

    def _events(
        self, claim: claims.Claim, folder: paths.JobPaths, reader: events.Reader, watching: watches.Watch
    ) -> Iterator[events.Event]:
        """A training's events as they come; each is shown, kept where it must be, and watched by the rules."""
        guard = guards.Guard(claim.params, compiled.watched(self.study))
        for event in follow.follow(folder, reader, self.launcher.is_alive, watching.between):
            if not _of_trial([event], claim.number):
                continue
            yield event
            self.observer.event(claim.number, event)
            if event.event == "checkpoint-set-aside":
                logger.warning(
                    "trial %d begins anew: %s; kept as %s", claim.number, event.data["message"], event.data["path"]
                )
            watching.remember(event)
            watching.end_early(guard.broken(self.book.rules, event))

    def _conclude(
        self, told: Sequence[events.Event], claim: claims.Claim, *, asked_to_stop: bool = False
    ) -> conclusions.Conclusion:
        objectives = self.study.objectives
        return conclusions.conclude(told, self.book.rules, objectives, claim.params, asked_to_stop=asked_to_stop)

    def _job(self, claim: claims.Claim, folder: paths.JobPaths) -> job.TrainJob:
        study = self.study.model_copy(update={"name": self.rows.name})
        record = {
            "study": study.name,
            "study_id": self.rows.study_id,
            "trial": str(claim.number),
            "rules": self.book.label,
        }
        return job_file.of(study, claim, self.place(claim), folder, self.settings.cache, record)

    def _finish(
        self, claim: claims.Claim, number: int, conclusion: conclusions.Conclusion, waiting: patience.Patience
    ) -> None:
        waiting.call(
            lambda: stored_attempts.finish(
                self.rows.database,
                self.rows.study_id,
                claim.number,
                number,
                ending=conclusion.ending.value,
                exit_code=conclusion.exit_code,
                failure_kind=None if conclusion.failure is None else conclusion.failure.kind,
                step=conclusion.steps,
                seconds=conclusion.seconds,
                message=conclusion.message,
            )
        )


def _of_trial(told: list[events.Event], number: int) -> list[events.Event]:
    """This trial's events and the job's own."""
    return [event for event in told if event.trial in (None, number)]


def _is_whole(conclusion: conclusions.Conclusion) -> bool:
    """Whether the LoRA and the pictures that an attempt told of are still there."""
    files = [str(image["path"]) for image in conclusion.images]
    files += [conclusion.lora] if conclusion.lora is not None else []
    return all(pathlib.Path(file).is_file() for file in files)


def _with_problems(conclusion: conclusions.Conclusion, reader: events.Reader) -> conclusions.Conclusion:
    """Name the lines that were left out of an event file."""
    if not reader.problems:
        return conclusion
    more = len(reader.problems) - 1
    said = f"{reader.problems[0]}{f' (and {more} more lines)' if more else ''} was left out"
    logger.warning("%s", said)
    return dataclasses.replace(conclusion, message="\n".join(filter(None, (conclusion.message, said))))


def _seconds(conclusion: conclusions.Conclusion, told: list[events.Event], began: float) -> dict[str, float]:
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
