"""What a study has on disk: the folder of its runs, and the pictures that its trials keep as artifacts."""

import dataclasses
import pathlib
import shutil
from collections.abc import Iterable

from optimizer import settings as settings_module
from storage import studies
from trainers.contract import paths


@dataclasses.dataclass(frozen=True)
class Remains:
    """A study's files in this data folder, counted."""

    runs: pathlib.Path
    artifacts: tuple[pathlib.Path, ...]
    loras: int
    #: size of all of them together
    size_bytes: int

    def sentence(self) -> str:
        """How much it is, in words."""
        loras = f"{self.loras} LoRA{'' if self.loras == 1 else 's'}"
        return f"{loras} and {len(self.artifacts)} artifacts, {self.size_bytes / 1e6:.1f} MB in all"

    def remove(self) -> None:
        """Delete them."""
        shutil.rmtree(self.runs, ignore_errors=True)
        for artifact in self.artifacts:
            artifact.unlink(missing_ok=True)


def of(settings: settings_module.Settings, study: studies.StudyRow, artifacts: Iterable[str]) -> Remains:
    """Count a study's files.

    Args:
        artifacts: the ids of its trials' artifacts; those that are not in this data folder count for nothing.
    """
    runs = settings.runs / study.folder
    kept = tuple(path for path in (settings.artifacts / name for name in sorted(set(artifacts))) if path.is_file())
    files = [path for path in runs.rglob("*") if path.is_file()]
    return Remains(
        runs=runs,
        artifacts=kept,
        loras=sum(path == paths.TrialPaths(path.parent).lora for path in files),
        size_bytes=sum(path.stat().st_size for path in (*files, *kept)),
    )
