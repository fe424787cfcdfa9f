"""Asks an environment of kohya's sd-scripts what it is, before any trial: version, packages, whether it starts at all.

It has pins of its own that exclude ours, so it runs in an interpreter of its own; that interpreter imports the training
script as a run would, and says what its argument parser knows. Nothing of it is imported here. Torch-free.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from trainers.kohya import limits as sd_scripts_limits
from trainers.kohya import settings as kohya_settings

#: seconds that the imports of an environment may take; ten to thirty are usual
TIMEOUT_SECONDS = 300.0
#: what stands before the answer, since sd-scripts prints while it is imported
_MARK = "sd-scripts says: "
#: run by its interpreter, in its checkout: the script's name, then the packages that are asked for
_QUESTION = f"""
import contextlib, importlib, importlib.metadata, json, subprocess, sys
sys.path.insert(0, ".")
said = {{"packages": {{}}, "options": [], "commit": "", "problem": "", "cuda": False}}
for name in sys.argv[2:]:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        said["packages"][name] = importlib.metadata.version(name)
with contextlib.suppress(OSError):
    asked = subprocess.run(["git", "log", "-1", "--format=%h of %cs"], capture_output=True, text=True)
    said["commit"] = asked.stdout.strip()
try:
    script = importlib.import_module(sys.argv[1])
    said["options"] = [action.dest for action in script.setup_parser()._actions]
    said["cuda"] = sys.modules["torch"].cuda.is_available()
except BaseException as error:
    said["problem"] = f"{{type(error).__name__}}: {{error}}"
print({_MARK!r} + json.dumps(said))
"""
_PACKAGES = ("torch", "diffusers", "transformers", "accelerate")
_REMEDY = (
    "make an environment with sd-scripts' own requirements and name its interpreter as `sd_scripts_python` under "
    "`fixed`; docs/howto/sd-scripts.md says how"
)


@dataclasses.dataclass(frozen=True)
class ProbeAnswer:
    """What an environment said of itself. `problem` says why it cannot train, empty where it can."""

    commit: str
    packages: Mapping[str, str]
    options: frozenset[str]
    cuda: bool
    problem: str

    def render(self) -> str:
        """One line for people."""
        known = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        return f"sd-scripts {self.commit or 'of an unknown version'}" + (f" with {known}" if known else "")


def python(params: Mapping[str, Any]) -> str:
    """The interpreter that runs sd-scripts. A link stays as it is: an environment is found by where its link lies."""
    return os.path.abspath(pathlib.Path(str(params.get("sd_scripts_python", sys.executable))).expanduser())


def checkout(params: Mapping[str, Any]) -> pathlib.Path:
    """The folder of sd-scripts."""
    return pathlib.Path(str(params["sd_scripts"])).expanduser().resolve()


def environment() -> dict[str, str]:
    """What sd-scripts runs in: nothing that leads its interpreter to our packages, nor accelerate to our settings."""
    ours = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("ACCELERATE")}


def ask(params: Mapping[str, Any], script: str, timeout_seconds: float = TIMEOUT_SECONDS) -> ProbeAnswer:
    """Let the interpreter of sd-scripts import a training script and say what it found.

    Args:
        params: hold `sd_scripts` and perhaps `sd_scripts_python`.
        script: the file that trains, as `kohya_settings.SCRIPTS` names it.
    """
    folder, interpreter = checkout(params), python(params)
    if not (folder / script).is_file():
        return _failed(f"sd_scripts: {folder / script}: no such file; name the folder of an sd-scripts checkout")
    question = [interpreter, "-c", _QUESTION, pathlib.Path(script).stem, *_PACKAGES]
    try:
        asked = subprocess.run(
            question, cwd=folder, env=environment(), capture_output=True, timeout=timeout_seconds, check=False
        )
    except OSError as error:
        return _failed(f"sd_scripts_python: {interpreter}: cannot be started: {error.strerror}; {_REMEDY}")
    except subprocess.TimeoutExpired:
        return _failed(
            f"sd_scripts_python: {interpreter} did not import {script} within {timeout_seconds:g} s; try "
            f"`{interpreter} {script} --help` in {folder}"
        )
    return _understood(asked, f"{interpreter} cannot import {folder / script}")


def problems(
    params: Mapping[str, Any], answer: ProbeAnswer, base: kohya_settings.BaseTraits | None = None, gpus: int = 0
) -> list[str]:
    """Why sd-scripts cannot train as it is set up, in words; an empty list means that it can.

    Args:
        base: what is trained; None where it is not known here.
        gpus: how many this machine has.
    """
    if answer.problem:
        return [answer.problem]
    unknown = sorted(set(kohya_settings.OPTIONS) - answer.options)
    found = []
    if gpus and not answer.cuda:
        found.append(
            f"sd_scripts_python: torch {answer.packages.get('torch', '')} of {python(params)} sees no GPU, and this "
            "machine has one; install the build of torch for it there"
        )
    if unknown:
        found.append(
            f"sd_scripts: {checkout(params)} ({answer.commit or 'of an unknown version'}) knows no option "
            f"{', '.join(unknown)} and would leave it out without a word; take a newer checkout"
        )
    if base is not None:
        found += sd_scripts_limits.base_problems(base)
        text = sd_scripts_limits.text_encoder_problem(base, answer.packages.get("transformers", ""))
        found += [] if text is None else [text]
    return found


def _understood(asked: "subprocess.CompletedProcess[bytes]", what: str) -> ProbeAnswer:
    lines = asked.stdout.decode("utf-8", "replace").splitlines()
    told = next((line.removeprefix(_MARK) for line in reversed(lines) if line.startswith(_MARK)), None)
    if told is None:
        last = asked.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return _failed(f"sd_scripts_python: {what}: it ended with code {asked.returncode} {''.join(last)}; {_REMEDY}")
    said = json.loads(told)
    problem = said["problem"]
    if problem:
        problem = f"sd_scripts_python: {what}: {problem}; {_REMEDY}"
    return ProbeAnswer(said["commit"], said["packages"], frozenset(said["options"]), said["cuda"], problem)


def _failed(problem: str) -> ProbeAnswer:
    return ProbeAnswer("", {}, frozenset(), False, problem)
