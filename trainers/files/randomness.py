"""Where randomness comes from: every draw has its own seed, made of the trial's seed, its purpose and its number.

Nothing is drawn from a running stream, so a resumed run draws what an uninterrupted one would have drawn, without any
generator state in its checkpoint.
"""

import hashlib


def seed_for(seed: int, purpose: str, number: int = 0) -> int:
    """A seed in [0, 2**63) for draw `number` of `purpose`."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
