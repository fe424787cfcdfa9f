"""Whether sd-scripts could start here: what it answers itself, and what it would refuse. Torch-free."""

from trainers.kohya import limits, probe
from trainers.kohya import settings as kohya_settings
from trainers.terms.inquiry import Inquiry, TrainerReadiness


def ask(inquiry: Inquiry) -> TrainerReadiness:
    """Ask sd-scripts, which has an environment of its own that takes half a minute to answer."""
    base = kohya_settings.base(inquiry.base)
    script = kohya_settings.SCRIPTS["sd15" if base is None else base.family]
    answer = probe.ask(inquiry.fixed, script)
    problems = probe.problems(inquiry.fixed, answer, base, inquiry.count_gpus())
    if base is not None:
        problems += limits.setting_problems(base.family, inquiry.values)
    return TrainerReadiness(tuple(problems), () if answer.problem else (answer.render(),))
