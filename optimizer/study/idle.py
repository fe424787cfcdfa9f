"""Searched parameters that change nothing at some points of a space: num_cycles without restarts, a rate under Prodigy.

Trainers say when each parameter has an effect, in the rule language. Whether that can fail to hold in a space is what
rules are examined for, so each such condition is examined as a rule that refuses where it does not hold.
"""

import json
from collections.abc import Mapping

from constraints.proving import examine
from constraints.rules import loading
from constraints.rules import ruleset as rulesets
from optimizer.study import resolved as studies


def conditions(study: studies.Study) -> Mapping[str, str]:
    """Searched parameter -> when it has an effect, for those that are drawn also where they have none."""
    known = study.declared.parameters
    wanted = {
        name: known[name].when for name, domain in study.space.items() if known[name].when and domain.when is None
    }
    if not wanted:
        return {}
    rules = [
        {"id": f"idle-{at}", "refuse": f"not ({when})", "because": "it changes nothing"}
        for at, when in enumerate(wanted.values())
    ]
    text = json.dumps({"rules_version": 1, "name": "idle", "rules": rules})
    fixed = study.declared.defaults(study.space) | dict(study.fixed)
    loaded = rulesets.load([loading.RuleText(text=text, name="idle")], study.space, fixed=fixed)
    found = {finding.id: finding.status for finding in examine.examine(loaded).rules}
    return {name: when for at, (name, when) in enumerate(wanted.items()) if found[f"idle-{at}"] != "never-fires"}
