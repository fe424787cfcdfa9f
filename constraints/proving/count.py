"""What judged points say of rules: what one shows; and where they are all points of a space, what none shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from constraints.judging.judge import Bools


@dataclass(frozen=True)
class Count:
    """Judged points.

    Attributes:
        masks: for each rule that could be judged, the points that break it: shape (points,).
        points: how many points were judged.
        whole: whether these are all points of the space, so that what none shows is not there.
    """

    masks: Mapping[str, Bools]
    points: int
    whole: bool

    def some(self, breaks: Sequence[str], keeps: Sequence[str]) -> bool | None:
        """Whether some point breaks all of the first rules and keeps all of the others; None where no point settles it.

        Rules that could not be judged ask for nothing, which leaves a yes open, never a no.
        """
        if self._where(breaks, keeps).any():
            return True if all(rule in self.masks for rule in (*breaks, *keeps)) else None
        return False if self.whole else None

    def clash(self, breaks: Sequence[str], keeps: Sequence[str]) -> tuple[str, ...]:
        """Rules to keep that no judged point keeps which breaks the first ones; none of them can be left out.

        Those that refuse least are left out first, so that what is left is few. Empty where some point keeps them all.
        """
        if self._where(breaks, keeps).any():
            return ()
        among = self._where(breaks, ())
        refusing = {rule: self.masks[rule] & among for rule in keeps if rule in self.masks}
        refusals = np.sum(list(refusing.values()), axis=0, dtype=int)
        chosen = set(refusing)
        for rule in sorted(refusing, key=lambda rule: int(refusing[rule].sum())):
            if not (refusing[rule] & (refusals == 1)).any():
                refusals = refusals - refusing[rule]
                chosen.remove(rule)
        return tuple(rule for rule in keeps if rule in chosen)

    def kept(self, rules: Sequence[str]) -> Bools:
        """The points that keep all of the rules that could be judged."""
        return self._where((), rules)

    def alone(self, rule: str, others: Sequence[str]) -> Bools:
        """The points that break one rule and none of the others."""
        return self._where((rule,), others)

    def _where(self, breaks: Sequence[str], keeps: Sequence[str]) -> Bools:
        found = np.ones(self.points, dtype=bool)
        for rule in breaks:
            found &= self.masks.get(rule, True)
        for rule in keeps:
            found &= ~self.masks[rule] if rule in self.masks else True
        return found
