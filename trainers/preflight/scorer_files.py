"""The scorers' weights as a study names them; finds what would keep them from being loaded. Torch-free.

What open_clip and timm know by name is read from their own files, since importing them takes torch.
"""

import ast
import functools
import importlib.util
import pathlib
import re
from collections.abc import Iterator, Mapping

from trainers.files import places, plain_files, weight_files
from trainers.lora import architecture, sections
from trainers.preflight import hub
from trainers.terms import suggestions

#: what a folder in open_clip's layout holds
_CONFIGURATION = "open_clip_config.json"
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_HUB = "hf-hub:"


def clip_problems(clip: sections.ClipModel) -> list[str]:
    """What is seen to be wrong with a CLIP model and its weights."""
    return [f"clip {clip.model!r}: {problem}" for problem in _of_clip(clip)]


def dino_problems(dino: sections.DinoModel) -> list[str]:
    """What is seen to be wrong with a timm model and its weights."""
    return [f"dino {dino.model!r}: {problem}" for problem in _of_dino(dino)]


def _of_clip(clip: sections.ClipModel) -> Iterator[str]:
    folder = architecture.DEMO / "clip" if clip.model == "demo" else pathlib.Path(clip.model).expanduser()
    if folder.is_dir():
        yield from _of_clip_folder(folder)
    elif clip.model.startswith(_HUB):
        yield from _of_hub(clip.model.removeprefix(_HUB), _CONFIGURATION)
    elif places.looks_like_path(clip.model):
        yield f"{folder}: no such folder; name one in open_clip's layout, or a model of open_clip's such as ViT-B-32"
    else:
        yield from _of_clip_name(clip.model, clip.pretrained)


def _of_clip_folder(folder: pathlib.Path) -> Iterator[str]:
    if not (folder / _CONFIGURATION).is_file():
        yield f"{folder}: holds no {_CONFIGURATION}; name a folder in open_clip's layout"
    found = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    if not found:
        yield f"{folder}: holds no {' or '.join(_WEIGHTS)}"
    for path in found[:1]:
        problem = weight_files.problem(path)
        if problem:
            yield f"{path}: {problem}; fetch it again"


def _of_clip_name(model: str, pretrained: str) -> Iterator[str]:
    known = _clip_models()
    name = model.replace("/", "-")
    if known and name not in known:
        yield f"open_clip knows no such model{suggestions.nearest(name, known)}"
        return
    if not pretrained:
        yield "give `pretrained` (a tag such as openai, or a weights file): random weights score nothing"
        return
    file = pathlib.Path(pretrained).expanduser()
    if file.is_file():
        problem = weight_files.problem(file)
        if problem:
            yield f"pretrained {pretrained!r}: {problem}"
    elif places.looks_like_path(pretrained):
        yield f"pretrained {pretrained!r}: no such file"
    else:
        yield from _of_tag(known.get(name, {}), pretrained)


def _of_tag(tags: Mapping[str, str], pretrained: str) -> Iterator[str]:
    """A tag of a model that open_clip knows; `tags` gives each one's repository on the hub, where it has one."""
    tag = pretrained.lower().replace("-", "_")
    if tags and tag not in tags:
        listed = f"; it has {', '.join(tags)}"
        yield f"pretrained {pretrained!r}: no such weights{suggestions.nearest(tag, tags) or listed}"
    elif tags.get(tag):
        yield from _of_hub(tags[tag].rstrip("/"), _WEIGHTS[0])


def _of_dino(dino: sections.DinoModel) -> Iterator[str]:
    if dino.model.startswith((_HUB, "hf_hub:")):
        yield from _of_hub(dino.model.partition(":")[2], "config.json")
        return
    known = _timm_models()
    name = dino.model.partition(".")[0]
    if known and name not in known:
        yield f"timm knows no such model{suggestions.nearest(name, known)}"
        return
    if known and dino.model != name and dino.model not in known[name]:
        yield f"timm knows no such weights; it has {', '.join(sorted(known[name])) or 'none'}"
        return
    if not dino.weights:
        if dino.model in known.get(name, ()):
            yield from _of_hub(f"timm/{dino.model}", "model.safetensors")
        return
    file = pathlib.Path(dino.weights).expanduser()
    problem = weight_files.problem(file) if file.is_file() else "no such file"
    if problem:
        yield f"weights {dino.weights!r}: {problem}"


def _of_hub(repository: str, file: str) -> Iterator[str]:
    if hub.cached(repository, file) is None:
        problem = hub.problem(repository, file)
        if problem:
            yield problem


@functools.cache
def _clip_models() -> Mapping[str, Mapping[str, str]]:
    """open_clip's models, each with its weights' tags and where on the hub these lie; empty where none can be read."""
    package = _package("open_clip")
    if package is None:
        return {}
    tags = _clip_tags(package / "pretrained.py")
    names = {path.stem for path in (package / "model_configs").glob("*.json")} | tags.keys()
    return {name: tags.get(name) or tags.get(name.removesuffix("-quickgelu"), {}) for name in sorted(names)}


def _clip_tags(path: pathlib.Path) -> dict[str, dict[str, str]]:
    """`_PRETRAINED` of open_clip's source: a dictionary of names that stand for `dict(tag=_pcfg(hf_hub=...), ...)`."""
    try:
        tree = ast.parse(plain_files.read_text(path))
    except (OSError, SyntaxError):
        return {}
    assigned = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    models = assigned.get("_PRETRAINED")
    if not isinstance(models, ast.Dict):
        return {}
    found: dict[str, dict[str, str]] = {}
    for key, value in zip(models.keys, models.values, strict=True):
        named = assigned.get(value.id) if isinstance(value, ast.Name) else value
        if isinstance(key, ast.Constant) and named is not None:
            found[str(key.value)] = {tag: _repository(made) for tag, made in _entries(named)}
    return found


def _entries(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """The keys and values of `dict(a=...)` or `{"a": ...}`."""
    if isinstance(node, ast.Call):
        yield from ((keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), value


def _repository(node: ast.expr) -> str:
    """What `hf_hub=` names in a call, or nothing."""
    for name, value in _entries(node):
        if name == "hf_hub" and isinstance(value, ast.Constant):
            return str(value.value)
    return ""


@functools.cache
def _timm_models() -> Mapping[str, frozenset[str]]:
    """timm's models, each with the names of its weights (`model.tag`); empty where that cannot be read."""
    package = _package("timm")
    models: dict[str, set[str]] = {}
    named: set[str] = set()
    for path in sorted((package / "models").glob("*.py")) if package is not None else ():
        text = plain_files.read_text(path)
        for name in re.findall(r"^@register_model\s+def (\w+)\(", text, re.MULTILINE):
            models[name] = set()
        named |= set(re.findall(r"""^\s+['"](\w+\.\w+)['"]\s*:""", text, re.MULTILINE))
    for name in named:
        if name.partition(".")[0] in models:
            models[name.partition(".")[0]].add(name)
    return {name: frozenset(tags) for name, tags in models.items()}


def _package(name: str) -> pathlib.Path | None:
    """The folder of an installed package, without importing it."""
    found = importlib.util.find_spec(name)
    return None if found is None or found.origin is None else pathlib.Path(found.origin).parent
