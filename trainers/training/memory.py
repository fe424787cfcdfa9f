"""The device memory that one trial takes, in a process that serves many."""

from collections.abc import Mapping

import torch


def peak() -> Mapping[str, float]:
    """The most GiB reserved since the peak was forgotten, as `vram_gb`; nothing where there is no GPU."""
    return {"vram_gb": torch.cuda.max_memory_reserved() / 2**30} if torch.cuda.is_available() else {}


def forget_peak() -> None:
    """Begin anew; blocks that earlier trials left in the allocator's cache are given back, or they would count."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
