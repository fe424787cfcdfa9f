"""What trains, but not as a person may think: enlarged images, prompts without the captions' word. Torch-free."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from trainers.data import buckets, captions, dataset
from trainers.lora import architecture
from trainers.terms.inquiry import Inquiry

#: a picture enlarged more than this is remarked on, and one that is enlarged far more is not trained on
_ENLARGED, _TOO_SMALL = 2.0, 8.0
#: the same for the share of a picture that a crop leaves
_CROPPED, _TOO_NARROW = 0.5, 0.2
#: names of one remark that are written out
_NAMED = 3
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


@dataclasses.dataclass(frozen=True)
class Cautions:
    """What of a data set is too much, and what of it, or of an evaluation over it, is only worth a note."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def of_lora(inquiry: Inquiry, found: dataset.DatasetFacts) -> Cautions:
    """What should be known of prompts beside the captions, and of images at the resolutions that may be trained."""
    problems, notes = _sizes(inquiry, found)
    return Cautions(tuple(problems), (*_prompts(inquiry, found), *notes))


def of_prompts(inquiry: Inquiry, found: dataset.DatasetFacts) -> Cautions:
    """What should be known of prompts beside the captions alone."""
    return Cautions(notes=tuple(_prompts(inquiry, found)))


def _sizes(inquiry: Inquiry, found: dataset.DatasetFacts) -> tuple[list[str], list[str]]:
    """What is wrong with the pictures' sizes, and what is only worth a note, at the resolutions that may be trained."""
    resolution, step = _smallest(inquiry)
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


def _smallest(inquiry: Inquiry) -> tuple[int | None, int | None]:
    """The smallest resolution that may be trained, and the step of its buckets where there are any for certain."""
    if "resolution" in inquiry.values:
        return min(int(value) for value in inquiry.values["resolution"]), _step(inquiry)
    known = architecture.read(inquiry.base)
    return (None, None) if known is None else (known.resolution, _step(inquiry))


def _step(inquiry: Inquiry) -> int | None:
    if inquiry.fixed.get("enable_bucket") is not True:
        return None
    return int(inquiry.fixed.get("bucket_reso_steps", 64))


def _prompts(inquiry: Inquiry, found: dataset.DatasetFacts) -> Iterator[str]:
    """Words of the captions that no prompt says, and prompts that are cut off."""
    words = [_words(picture.caption) for picture in found.pictures if picture.caption]
    if len(words) > 1:
        shared = frozenset.intersection(*words) - _ORDINARY
        said = frozenset().union(*(_words(prompt) for prompt in inquiry.evaluation.prompts))
        missing = sorted(shared - said)
        if missing:
            shown = ", ".join(f"'{word}'" for word in missing[:_NAMED])
            yield f"every caption says {shown}, and no prompt does: the pictures may not show what is learned"
    cut = [prompt for prompt in (*inquiry.evaluation.prompts, *inquiry.evaluation.held_out) if captions.is_cut(prompt)]
    if cut:
        yield (
            f"{len(cut)} prompt{'s are' if len(cut) > 1 else ' is'} longer than the {captions.MOST_TOKENS} tokens that "
            f"are read, the end is left out: {cut[0][:60]}..."
        )


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[\w-]+", text.lower()))
