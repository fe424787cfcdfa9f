"""The table of pictures: a column a prompt and seed, the untrained base in the first row, then trial by trial."""

import dataclasses
from collections.abc import Mapping, Sequence

from optimizer.report import pictures, records
from optimizer.results import records as trial_records

#: trials that are pictured, the best first; more would make the file slow to open
MOST_TRIALS = 30
#: ... and of them those that are seen at once; the others are folded
OPEN_TRIALS = 12
#: pixels of a picture's longer side, in rows that are seen at once and in the others; a click shows all of them
_EDGE = 320
_FOLDED_EDGE = 144

GridColumn = tuple[str, int, bool]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One picture, ready to be shown; `uri` is None where the file is gone."""

    uri: str | None
    prompt: str
    text: str
    clip_score: float | None
    failure: str | None


@dataclasses.dataclass(frozen=True)
class TrialPictures:
    """The pictures of one trial, or of the untrained base where `trial` is None; None where one was not drawn."""

    trial: trial_records.TrialRecord | None
    cells: Sequence[Cell | None]


@dataclasses.dataclass(frozen=True)
class Grid:
    """`columns` are (prompt, seed, held out). `pairs` are (base, best trial). `left_out` counts trials.

    `rows` are seen at once, the untrained base first; `folded` ones on demand. `training` shows what is to be learned.
    """

    columns: Sequence[GridColumn]
    rows: Sequence[TrialPictures]
    folded: Sequence[TrialPictures]
    training: Sequence[Cell]
    pairs: Sequence[tuple[Cell | None, Cell]]
    left_out: int


def grid(data: records.ReportData) -> Grid:
    """Arrange the study's pictures."""
    shown = ranked([trial for trial in data.trials if data.pictures.get(trial.number)], data.objectives, data.best)
    baseline = () if data.baseline is None else data.baseline.pictures
    columns = list(
        dict.fromkeys(
            (picture.prompt, picture.seed, picture.held_out)
            for drawn in (baseline, *(data.pictures[trial.number] for trial in shown))
            for picture in drawn
        )
    )
    columns.sort(key=lambda column: column[2])  # what the search never saw comes last
    first, others = shown[:OPEN_TRIALS], shown[OPEN_TRIALS:MOST_TRIALS]
    base = [_row(None, baseline, columns, _EDGE)] if baseline else []
    return Grid(
        columns,
        rows=base + [_row(trial, data.pictures[trial.number], columns, _EDGE) for trial in first],
        folded=[_row(trial, data.pictures[trial.number], columns, _FOLDED_EDGE) for trial in others],
        training=[
            Cell(pictures.thumbnail(image.content, _EDGE), "", f"training image {image.name}", None, None)
            for image in data.training_images
        ],
        pairs=_pairs(data, baseline),
        left_out=max(0, len(shown) - MOST_TRIALS) + data.unread_pictures,
    )


def ranked(
    trials: Sequence[trial_records.TrialRecord], objectives: Mapping[str, str], best: int | None
) -> list[trial_records.TrialRecord]:
    """Trials in the order in which they are pictured: usable ones first, the best at the top."""

    def rank(trial: trial_records.TrialRecord) -> tuple[bool, bool, list[float], int]:
        signs = {"maximize": -1.0, "minimize": 1.0}
        values = [signs[way] * (trial.values.get(name) or 0.0) for name, way in objectives.items()]
        return trial.number != best, trial.state != "usable", values, trial.number

    return sorted(trials, key=rank)


def _row(
    trial: trial_records.TrialRecord | None,
    drawn: Sequence[records.ShownPicture],
    columns: Sequence[GridColumn],
    edge: int,
) -> TrialPictures:
    found = {(picture.prompt, picture.seed, picture.held_out): picture for picture in drawn}
    whose = "untrained base" if trial is None else f"trial {trial.number}"
    return TrialPictures(trial, [_cell(found.get(column), whose, edge) for column in columns])


def _pairs(data: records.ReportData, baseline: Sequence[records.ShownPicture]) -> list[tuple[Cell | None, Cell]]:
    if data.best is None:
        return []
    before: Mapping[GridColumn, records.ShownPicture] = {
        (picture.prompt, picture.seed, picture.held_out): picture for picture in baseline
    }
    pairs = []
    for picture in data.pictures.get(data.best, ())[:8]:
        after = _cell(picture, f"trial {data.best}", _EDGE)
        if after is not None:
            base = before.get((picture.prompt, picture.seed, picture.held_out))
            pairs.append((_cell(base, "untrained base", _EDGE), after))
    return pairs


def _cell(picture: records.ShownPicture | None, whose: str, edge: int) -> Cell | None:
    if picture is None:
        return None
    uri = None if picture.content is None else pictures.thumbnail(picture.content, edge)
    return Cell(
        uri, picture.prompt, f"{whose}: {picture.prompt} (seed {picture.seed})", picture.clip_score, picture.failure
    )
