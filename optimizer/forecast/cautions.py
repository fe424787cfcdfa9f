"""What trains, but not as a person may think: pictures that are enlarged, prompts without the captions' word."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from constraints.proving import sample
from optimizer.forecast import situation as facts
from optimizer.study import resolved as studies
from trainers.data import buckets, captions, dataset
from trainers.declared import architecture, contradictions

#: a picture enlarged more than this is remarked on, and one that is enlarged far more is not trained on
_ENLARGED, _TOO_SMALL = 2.0, 8.0
#: the same for the share of a picture that a crop leaves
_CROPPED, _TOO_NARROW = 0.5, 0.2
#: names of one remark that are written out
_NAMED = 3
#: points of the space that are looked at
_POINTS = 4096
#: words that captions share without being about the subject
_ORDINARY = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "on",
        "in",
        "at",
        "to",
        "and",
        "or",
        "with",
        "by",
        "for",
        "from",
        "is",
        "are",
        "was",
        "as",
        "it",
        "its",
        "this",
        "that",
        "his",
        "her",
        "their",
        "there",
        "no",
        "not",
        "photo",
        "photograph",
        "picture",
        "image",
        "painting",
        "drawing",
        "illustration",
        "portrait",
        "art",
        "style",
        "background",
        "front",
        "side",
        "view",
        "white",
        "black",
        "high",
        "quality",
        "best",
        "masterpiece",
        "detailed",
    ]
)


def pictures(study: studies.Study, found: dataset.DatasetFacts) -> tuple[list[str], list[str]]:
    """What is wrong with the pictures' sizes, and what is only worth a note, at the resolutions that may be trained."""
    resolution, step = _smallest(study)
    if resolution is None:
        return [], []
    small: list[str] = []
    tiny: list[str] = []
    cropped: list[str] = []
    narrow: list[str] = []
    for picture in found.pictures:
        size = f"{picture.place.name} {picture.width}x{picture.height}"
        width, height = buckets.training_size(picture.width, picture.height, resolution, step)
        scale = max(width / picture.width, height / picture.height)
        seen = width * height / (picture.width * picture.height * scale**2)
        if scale > _ENLARGED:
            (tiny if scale > _TOO_SMALL else small).append(size)
        if seen < _CROPPED:
            (narrow if seen < _TOO_NARROW else cropped).append(size)
    at = f"at resolution {resolution}"
    problems = [
        *_said(tiny, f"too small: enlarged more than {_TOO_SMALL:g} times {at}; take larger ones, or take them out"),
        *_said(narrow, f"too narrow: less than {_TOO_NARROW:.0%} of each is seen {at}; crop them, or take them out"),
    ]
    notes = [
        *_said(small, f"enlarged more than {_ENLARGED:g} times {at}: the LoRA learns their blur"),
        *_said(cropped, f"cropped to less than {_CROPPED:.0%} {at}{_remedy(step)}"),
    ]
    return problems, notes


def _remedy(step: int | None) -> str:
    return "; enable_bucket keeps aspect ratios" if step is None else ""


def _said(names: Sequence[str], what: str) -> Iterator[str]:
    if names:
        rest = len(names) - _NAMED
        shown = ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
        yield f"{len(names)} image{'s are' if len(names) > 1 else ' is'} {what} ({shown})"


def _smallest(study: studies.Study) -> tuple[int | None, int | None]:
    """The smallest resolution that may be trained, and the step of its buckets where there are any for certain."""
    domain = study.space.get("resolution")
    if domain is not None:
        resolution = min(int(value) for value in (domain.choices or (domain.low,)))
    elif "resolution" in study.fixed:
        resolution = int(study.fixed["resolution"])
    else:
        known = None if study.trainer == "command" else architecture.read(study.base)
        return (None, None) if known is None else (known.resolution, _step(study))
    return (None, None) if study.trainer == "command" else (resolution, _step(study))


def _step(study: studies.Study) -> int | None:
    if study.fixed.get("enable_bucket") is not True:
        return None
    return int(study.fixed.get("bucket_reso_steps", 64))


def prompts(study: studies.Study, found: dataset.DatasetFacts) -> Iterator[str]:
    """Words of the captions that no prompt says, and prompts that are cut off."""
    words = [_words(picture.caption) for picture in found.pictures if picture.caption]
    if len(words) > 1:
        shared = frozenset.intersection(*words) - _ORDINARY
        said = frozenset().union(*(_words(prompt) for prompt in study.evaluation.prompts))
        missing = sorted(shared - said)
        if missing:
            shown = ", ".join(f"'{word}'" for word in missing[:_NAMED])
            yield f"every caption says {shown}, and no prompt does: the pictures may not show what is learned"
    cut = [prompt for prompt in (*study.evaluation.prompts, *study.evaluation.held_out) if captions.is_cut(prompt)]
    if cut:
        yield (
            f"{len(cut)} prompt{'s are' if len(cut) > 1 else ' is'} longer than the {captions.MOST_TOKENS} tokens that "
            f"are read, the end is left out: {cut[0][:60]}..."
        )


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[\w-]+", text.lower()))


def space(study: studies.Study, situation: facts.Situation) -> tuple[list[str], list[str]]:
    """Points that the trainer cannot train: a problem where that is all of them, else a note."""
    columns, count = _looked_at(study)
    points = {**study.fixed, **columns}
    contradicted = contradictions.of_points(study.trainer, situation.counter.beside(points), count)
    if not contradicted.any():
        return [], []
    first = {name: _plain(column[int(np.argmax(contradicted))]) for name, column in columns.items()}
    point = studies.complete(study, {name: value for name, value in first.items() if value is not None})
    said = "; ".join(contradictions.of_point(study.trainer, situation.counter.beside(point)))
    if contradicted.all():
        return [f"the trainer cannot train any point of the space: {said}"], []
    share = float(contradicted[: len(contradicted) // (1 + 2 * len(study.space))].mean())
    return [], [f"the trainer cannot train {_percent(share)} of the space, which is never proposed: {said}"]


def _looked_at(study: studies.Study) -> tuple[Mapping[str, Any], int]:
    """Points spread over the space, then the same with each parameter at its low end, and at its high end."""
    drawn = sample.draw(study.space, study.fixed)
    stride = max(1, drawn.points // _POINTS)
    inner = {name: column[::stride] for name, column in drawn.columns.items()}
    count = len(range(0, drawn.points, stride))
    tables = [inner]
    for name, domain in study.space.items():
        ends = (domain.choices[0], domain.choices[-1]) if domain.choices else (domain.low, domain.high)
        for end in ends:
            column = inner[name].copy()
            is_set = np.array([value is not None and value == value for value in column])  # noqa: PLR0124 (NaN)
            column[is_set] = end
            tables.append({**inner, name: column})
    columns = {name: np.concatenate([table[name] for table in tables]) for name in study.space}
    return columns, count * len(tables)


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{share:.0%}"


def _plain(value: Any) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain
