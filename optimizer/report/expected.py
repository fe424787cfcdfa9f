"""What a study's trials will take, for a terminal."""

from collections.abc import Iterator

from optimizer.forecast import outlook as outlooks


def render(outlook: outlooks.Outlook) -> str:
    """Estimates of time and memory, and what stands against them here."""
    lines = [f"estimates ({outlook.quality}):", f"  {_time(outlook)}", f"  {_memory(outlook)}", *_drawing(outlook)]
    lines += [f"  {rule} cannot be decided on this machine, and so refuses every trial" for rule in outlook.undecided]
    return "\n".join(lines)


def _time(outlook: outlooks.Outlook) -> str:
    if outlook.minutes is None or outlook.hours is None:
        return "time: not known before a trial has finished"
    several = outlook.workers > 1
    beside = f", {_duration(outlook.hours / outlook.workers)} on {outlook.workers} GPUs" if several else ""
    each = _duration(outlook.minutes / 60)
    return (
        f"time: {each} a trial, {_duration(outlook.hours)} for {outlook.trials:.0f} trials{beside}, over the "
        f"{outlook.accepted_share:.0%} of the space that the rules accept here"
    )


def _memory(outlook: outlooks.Outlook) -> str:
    if outlook.vram_gb is None or outlook.vram_gb_most is None:
        return "memory: not known; it needs a base that lies here as a folder or a file"
    said = f"memory: {outlook.vram_gb:.1f} GiB for a typical trial, {outlook.vram_gb_most:.1f} GiB at most"
    if outlook.gpu_vram_gb is None:
        return f"{said}; there is no GPU here to hold it against"
    said += f"; the GPU has {outlook.gpu_vram_gb:.1f} GiB"
    if not outlook.too_large_share:
        return said
    return (
        f"{said}, too few for {outlook.too_large_share:.0%} of the trials: "
        "`refuse: estimate.vram_gb > gpu.vram_gb - 1` spares the search from them"
    )


def _drawing(outlook: outlooks.Outlook) -> Iterator[str]:
    if outlook.milestones is None:
        return
    if not outlook.milestones.most:
        yield "  milestones: none, no trial is so long; make `evaluation.during.every_samples` smaller"
        return
    drawn = f"{outlook.milestone_pictures} picture{'s' if outlook.milestone_pictures > 1 else ''}"
    mean, most = outlook.milestones.mean, outlook.milestones.most
    yield f"  milestones: {mean:.1f} in the mean trial, {most:.0f} at most, {drawn} at each"


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.1f} min" if 60 * hours >= 1 else f"{3600 * hours:.0f} s"
