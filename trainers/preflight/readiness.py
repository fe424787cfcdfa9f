"""Whether a job could start: what its base, its scorers or its script need, asked before a trial exists. Torch-free."""

import ast
import pathlib
from collections.abc import Iterator

from trainers.files import plain_files
from trainers.preflight import base_files, scorer_files
from trainers.terms.inquiry import Inquiry, Obstacle

_MOST_SCRIPT_BYTES = 2**24


def of_lora(inquiry: Inquiry) -> Iterator[Obstacle]:
    """Everything of base and scorers that is seen to be missing here."""
    for problem in base_files.problems(inquiry.base):
        yield Obstacle(("base",), problem)
    for problem in scorer_files.clip_problems(inquiry.evaluation.clip):
        yield Obstacle(("evaluation", "clip"), problem)
    if inquiry.evaluation.dino is not None:
        for problem in scorer_files.dino_problems(inquiry.evaluation.dino):
            yield Obstacle(("evaluation", "dino"), problem)


def of_script(inquiry: Inquiry) -> Iterator[Obstacle]:
    """A script that is not there, or is none. It reads base and scorers as it likes, so these are not looked at."""
    for value in inquiry.values.get("script", ()):
        path = pathlib.Path(str(value)).expanduser()
        try:
            ast.parse(plain_files.read_text(path, _MOST_SCRIPT_BYTES), str(path))
        except FileNotFoundError:
            yield Obstacle(("fixed", "script"), f"script: {path}: no such file")
        except OSError as error:
            yield Obstacle(("fixed", "script"), f"script: {path}: {plain_files.reason(error)}")
        except (SyntaxError, ValueError, RecursionError) as error:
            yield Obstacle(("fixed", "script"), f"script: {path}: is no Python script: {error}")
