"""The only place that knows the file names of a run."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class JobPaths:
    """A job's own files: what it was told, what it tells, what it printed."""

    directory: pathlib.Path

    @property
    def job(self) -> pathlib.Path:
        return self.directory / "job.json"

    @property
    def events(self) -> pathlib.Path:
        return self.directory / "events.jsonl"

    @property
    def console(self) -> pathlib.Path:
        """What the trainer printed while it worked on this job."""
        return self.directory / "console.log"

    @property
    def exit_code(self) -> pathlib.Path:
        """Written when the job has ended and its events are complete; whoever follows them waits for no more."""
        return self.directory / "exit-code"


@dataclasses.dataclass(frozen=True)
class TrialPaths:
    """A trial's own files; they outlive the attempt that wrote them."""

    directory: pathlib.Path

    @property
    def lora(self) -> pathlib.Path:
        """The trained LoRA in kohya's key layout."""
        return self.directory / "lora.safetensors"

    @property
    def images(self) -> pathlib.Path:
        return self.directory / "images"

    def image(self, prompt: int, seed: int, *, held_out: bool = False) -> pathlib.Path:
        """The picture of prompt number `prompt` (counted within its own list) drawn with `seed`."""
        return self.images / f"{'held-out' if held_out else 'prompt'}-{prompt:02d}-seed-{seed}.png"

    @property
    def grid(self) -> pathlib.Path:
        """All validation pictures in one: a row a seed, a column a prompt."""
        return self.directory / "grid.png"

    def attempt(self, number: int) -> pathlib.Path:
        """The job folder of one attempt: what two attempts tell never mixes, even if the first one is still alive."""
        return self.directory / f"attempt-{number}"

    @property
    def checkpoint(self) -> pathlib.Path:
        return self.directory / "checkpoint"

    @property
    def stop(self) -> pathlib.Path:
        """Written by the worker to end this trial early: JSON with the rule that asks for it."""
        return self.directory / "stop.json"
