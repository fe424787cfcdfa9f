"""From a study to the next trial to run: taken up, enqueued by a person, or proposed by the study's design.

The order matters: work that was begun is finished first, then what people asked for, then the design goes on. Claiming
happens under one lock per study, so that no two workers hold the same trial and the budget is never overdrawn;
proposing, which takes longest, happens outside it. So whatever was decided outside is looked at again inside: the
point, the budget, the rules, and the study itself.
"""

import contextlib
import dataclasses
import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import optuna
from optuna.trial import TrialState

from constraints.judging import verdict as verdicts
from optimizer import attributes
from optimizer.designs import design as designs
from optimizer.designs import judgement
from optimizer.trials import claims, duplicates, reason
from optimizer.trials import observer as observers
from optimizer.trials import roster as rosters
from optimizer.trials import rows as trial_rows
from optimizer.trials import standing as standings
from storage import errors as storage_errors
from storage import judgements, refusals

logger = logging.getLogger(__name__)

#: proposals that may be overtaken before the next one is made under the lock
_RACES = 8


Claimed: TypeAlias = claims.Claim | claims.Refused | claims.Nothing


class Overtaken(Exception):
    """What was proposed was overtaken meanwhile: another worker has the point, or newer rules refuse it."""


@dataclasses.dataclass
class Proposer:
    """Finds one worker's next trial. Not thread-safe.

    Attributes:
        rows: where trials are read and written.
        standing: the rules, and what is known, as they stand.
        begin: makes the study's design, which knows of no trial yet.
        roster: the study's trials as they were seen last.
        maker: turns what is held into a claim.
        budget: trials that may be spent before the study is done.
        observer: is told what was refused.
    """

    rows: trial_rows.Rows
    standing: standings.Standing
    begin: Callable[[judgement.Admission], designs.Design]
    roster: rosters.Roster
    maker: claims.Maker
    budget: int
    observer: observers.Observer
    design: designs.Design = dataclasses.field(init=False)
    #: of the rows that design and roster know
    _generation: int = dataclasses.field(init=False)
    #: why nothing was left when that was said last
    _said: str = ""

    def __post_init__(self) -> None:
        self.design = self.begin(self.standing.admission)
        self._generation = self.rows.generation

    def claim(self) -> Claimed:
        """The next thing to do: a trial to run, a refusal that took a trial's place, or nothing, with the reason.

        Raises:
            errors.NothingFeasible: the rules leave no point.
            storage.errors.StudyGone: the study was deleted in optuna-dashboard.
        """
        self.look()
        return self._take_up() or self._pop() or self._propose()

    def look(self) -> None:
        """See what became of the study, its rules and its trials, for design and estimates to learn."""
        with self.rows.transaction() as writing:
            self._look(writing)
        self.standing.measure(self.roster.trials)
        self.design.follow(self.standing.admission)

    def _look(self, writing: trial_rows.Writing) -> None:
        unusable = self.standing.follow(writing.connection)
        if unusable is not None:
            logger.warning("%s", unusable)
            self.observer.noticed(unusable)
        if self._generation != self.rows.generation:
            self._generation = self.rows.generation
            self.design = self.begin(self.standing.admission)
            self.roster = rosters.Roster(self.roster.needed, self.roster.counts_refused)
        self.design.follow(self.standing.admission)
        with _uncollected():
            trials = writing.trials()
            self.roster.look(trials)
            self.design.learn(trials)

    @contextlib.contextmanager
    def _claiming(self) -> Iterator[trial_rows.Writing]:
        """Alone in the study; rules and trials are those of this moment, and stay so inside."""
        with self.rows.claiming() as writing:
            self._look(writing)
            yield writing

    def _is_spent(self) -> bool:
        return self.roster.spent >= self.budget

    # -- what was begun, and what people asked for ---------------------------------------------------------------------

    def _take_up(self) -> claims.Claim | None:
        """A begun trial that nobody works on any more: its worker stopped, or was silent longer than its lease."""
        free = self.rows.free(self.roster.begun)
        if not free:
            return None
        with self._claiming() as writing:
            for number in free:
                lease = writing.lease(number)
                if lease is None:
                    continue
                trial = writing.trials()[number]
                if trial.state is TrialState.RUNNING:
                    logger.info("trial %d is taken up again", number, extra={"trial": number})
                    if writing.judged_by(number) != self.standing.book.version_ids:
                        writing.keep(lease, self._reason("taken-up", trial.params))
                    return self.maker.begun(lease, trial.params, trial.user_attrs, taken_up=True)
                # told by its last holder between our look and the lease
                writing.give_back(lease)
        return None

    def _pop(self) -> claims.Claim | claims.Refused | None:
        """Take the oldest waiting trial, whoever put it there; a point that a person enqueued is judged like any other.

        One whose very training is going on somewhere waits for what that comes to.
        """
        if not self.roster.waiting:
            return None
        try:
            with self._claiming() as writing:
                for waiting in self.roster.waiting:
                    params = waiting.params or self.design.fill(waiting.system_attrs.get(trial_rows.GIVEN, {}))
                    busy = self.maker.takes_over and duplicates.is_being_trained(self.roster.running, params)
                    if not busy:
                        return self._take(writing, waiting, params)
        except storage_errors.TrialEnded:  # told in optuna-dashboard at this very moment
            logger.info("a waiting trial was told by somebody else", extra={"study": self.rows.name})
        return None

    def _take(
        self, writing: trial_rows.Writing, waiting: optuna.trial.FrozenTrial, params: Mapping[str, Any]
    ) -> claims.Claim | claims.Refused:
        verdict = self.standing.admission.judge(params)
        said = self._judged(verdict)
        if not verdict.refused_by:
            writing.begin(waiting.number, params, said)
            lease = writing.lease(waiting.number, self._reason("enqueued", params, verdict))
            assert lease is not None, f"trial {waiting.number} was waiting, and somebody holds it"
            return self.maker.asked(lease, params, {**waiting.user_attrs, **said}, self.roster.trials)
        writing.end(waiting.number, TrialState.PRUNED, params=params, attributes=said, constraints=verdict.violations)
        self._keep(writing, [(params, verdict)], "enqueued")
        self.observer.refused((verdict,))
        return claims.Refused(params, verdict, waiting.number)

    # -- what the design proposes --------------------------------------------------------------------------------------

    def _propose(self) -> Claimed:
        """The next trial that the design wants, or why there is none."""
        if self._is_spent():
            return self._out_of_budget()
        for _ in range(_RACES):
            proposal = self.design.next()
            try:
                return self._write(proposal)
            except Overtaken:
                logger.debug("what was proposed was overtaken; proposing again")
            finally:
                self._tell(proposal)
        # others were quicker each time; where they have to wait, nothing that is proposed can be lost
        with self._claiming() as writing:
            if self._is_spent():
                return self._out_of_budget()
            proposal = self.design.next()
            found = self._begin(writing, proposal)
        self._tell(proposal)
        return found

    def _tell(self, proposal: designs.Proposal | designs.Exhausted) -> None:
        self.observer.refused(tuple(verdict for _, verdict in proposal.refused))

    def _write(self, proposal: designs.Proposal | designs.Exhausted) -> Claimed:
        """Write what a proposal came to, unless the budget was spent meanwhile.

        Raises:
            Lost: the point is none to begin any more.
        """
        try:
            with self._claiming() as writing:
                if self._is_spent():
                    self._keep(writing, proposal.refused, "sampled")
                    return self._out_of_budget()
                now = self.design.again(proposal) if isinstance(proposal, designs.Proposal) else proposal
                if now is not None:
                    return self._begin(writing, now)
                self._keep(writing, proposal.refused, "sampled")
        except storage_errors.StudyGone:
            raise
        except storage_errors.NotFound as error:  # renamed at this very moment; the next look follows it
            raise Overtaken from error
        raise Overtaken

    def _begin(self, writing: trial_rows.Writing, proposal: designs.Proposal | designs.Exhausted) -> Claimed:
        """Write a proposal whose point is this worker's to begin.

        An accepted point is a running trial that this worker holds; a refused one stands here only under
        `refusals: prune`, and is a PRUNED trial with its violations, as the source experiment had them.
        """
        self._keep(writing, proposal.refused, "sampled")
        if isinstance(proposal, designs.Exhausted):
            return self._out_of_points(proposal)
        params, verdict = proposal.params, proposal.verdict
        if verdict is not None and verdict.refused_by:
            said = self._judged(verdict)
            number = writing.add(TrialState.PRUNED, params, attributes=said, constraints=verdict.violations)
            return claims.Refused(params, verdict, number)
        said = {attributes.RULE_VERSION: self.standing.book.label}
        if proposal.repeat:
            said[attributes.REPEAT] = proposal.repeat
        number = writing.add(TrialState.RUNNING, params, notes=proposal.notes, attributes=said)
        origin: judgements.TrialOrigin = "repeat" if proposal.repeat else "sampled"
        lease = writing.lease(number, self._reason(origin, params, verdict))
        assert lease is not None, f"trial {number} was made under the lock, and somebody else holds it"
        return self.maker.begun(lease, params, said)

    def _out_of_budget(self) -> claims.Nothing:
        of_budget = "its one trial is" if self.budget == 1 else f"all {self.budget} trials are"
        return claims.Nothing(f"{of_budget} spent")

    def _out_of_points(self, exhausted: designs.Exhausted) -> claims.Nothing:
        """A design that has nothing left while the budget has: said aloud, once, since it may be wrong."""
        if exhausted.why != self._said:
            self._said = exhausted.why
            logger.warning(
                "the study %r ends after %d of %d trials: %s",
                self.rows.name,
                self.roster.spent,
                self.budget,
                exhausted.why,
            )
        return claims.Nothing(exhausted.why)

    def _judged(self, verdict: verdicts.Verdict) -> dict[str, Any]:
        """What a trial row says about its judgement."""
        said: dict[str, Any] = {attributes.RULE_VERSION: self.standing.book.label}
        if verdict.refused_by:
            said[attributes.REFUSED_BY] = list(verdict.refused_by)
            if judgement.UNTRAINABLE in verdict.undecided:
                said["message"] = verdict.undecided[judgement.UNTRAINABLE]
        return said

    def _reason(
        self, origin: judgements.TrialOrigin, params: Mapping[str, Any], verdict: verdicts.Verdict | None = None
    ) -> judgements.Judgement:
        """Why a trial may run, by the rules in force."""
        return reason.of(self.standing.admission, self.standing.book.version_ids, origin, params, verdict)

    def _keep(
        self, writing: trial_rows.Writing, refused: Sequence[designs.RefusedPoint], origin: refusals.RefusalOrigin
    ) -> None:
        """Keep refusals in our own table, in one statement."""
        kept = [
            refusals.Refusal(
                rule_version_ids=self.standing.book.version_ids,
                params=dict(params),
                refused_by=tuple(verdict.refused_by),
                violations=dict(verdict.violations),
                origin=origin,
            )
            for params, verdict in refused
        ]
        refusals.record(writing.connection, self.rows.study_id, kept)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """The first look builds every trial of the study, and collecting garbage meanwhile would double its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
