"""`study export` from the study's name to the files: reads the trial, its base and its data set, and writes."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from optimizer import errors, opening
from optimizer.forecast import readiness
from optimizer.results import export, reading, records, table
from optimizer.study import resolved as studies
from trainers.data import dataset
from trainers.kohya import images as sd_scripts_images


@dataclasses.dataclass(frozen=True)
class Made:
    """An export that can be written. `files` are empty where it goes to standard output."""

    study: str
    trial: int | None
    form: str
    exported: export.Export
    files: Mapping[pathlib.Path, str]
    pictures: tuple[dataset.TrainingImage, ...] = ()
    images: pathlib.Path | None = None

    @property
    def texts(self) -> Mapping[str, str]:
        return self.exported.texts

    @property
    def lost(self) -> tuple[str, ...]:
        return self.exported.lost

    @property
    def remarks(self) -> tuple[str, ...]:
        return self.exported.remarks

    def write(self) -> "WrittenFiles":
        """Write the files, and the images beside them where they are needed; returns what was written.

        Raises:
            errors.BadInput: they cannot be written there.
        """
        images = self.images if self.exported.needs_images else None
        if images is not None:
            try:
                sd_scripts_images.write(self.pictures, images, link=False)
            except OSError as error:
                raise errors.BadInput(f"{images}: cannot be written: {error.strerror}") from error
        export.write(self.files)
        return WrittenFiles(
            study=self.study,
            trial=self.trial,
            format=self.form,
            files=tuple(self.files),
            images=images,
            settings=self.exported.settings,
            texts={} if self.files else self.texts,
            lost=self.lost,
            remarks=self.remarks,
        )


@dataclasses.dataclass(frozen=True)
class WrittenFiles:
    """What was written where; the texts themselves where they were written nowhere.

    `trial` is None for a table of all; `images` is the folder that the data set was written to.
    """

    study: str
    trial: int | None
    format: str
    files: tuple[pathlib.Path, ...]
    images: pathlib.Path | None
    settings: Mapping[str, Any]
    texts: Mapping[str, str]
    lost: tuple[str, ...]
    remarks: tuple[str, ...]


def make(services: opening.Services, name: str, form: str, number: int | None, output: pathlib.Path | None) -> Made:
    """Read what is exported.

    Args:
        form: sd-scripts, diffusers, json or csv.
        number: the trial; None is the best one, or all of them in a table.
        output: the file to write; None is standard output.

    Raises:
        errors.BadInput: there is no such trial, nothing to export of it, or nowhere to write.
    """
    _, study = reading.stored_study(services.database, name)
    found = reading.trial_records(services.database, study)
    if form == "csv":
        exported = export.Export({"": table.to_csv(study, found)})
        return Made(name, None, form, exported, _files(output, exported))
    record = export.chosen(study, found, number)
    if form == "json":
        source = None
        with contextlib.suppress(errors.BadInput):  # then what they say is left out
            source = _source(study, record)
        exported = export.to_json(study, record, source)
        return Made(name, record.number, form, exported, _files(output, exported))
    source = _source(study, record)
    images = None if output is None else export.images_beside(output, source.pictures)
    exported = _FORMS[form](source, images)
    return Made(name, record.number, form, exported, _files(output, exported), source.pictures, images)


_FORMS = {"sd-scripts": export.to_sd_scripts, "diffusers": export.to_diffusers}


def _source(study: studies.Study, record: records.TrialRecord) -> export.ExportedTrial:
    found = readiness.inspect_dataset(study)
    return export.source(study, record, found.pictures if isinstance(found, dataset.DatasetFacts) else ())


def _files(output: pathlib.Path | None, exported: export.Export) -> Mapping[pathlib.Path, str]:
    return {} if output is None else export.paths(output, exported)
