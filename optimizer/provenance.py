"""What a trial needs to be repeated, beside its own parameters: versions of the packages, the checkout, who asked."""

import getpass
import importlib.metadata
import pathlib
import platform
import shutil
import subprocess

#: packages whose versions decide what a trial does
_PACKAGES = (
    "optuna",
    "torch",
    "diffusers",
    "peft",
    "transformers",
    "accelerate",
    "bitsandbytes",
    "prodigyopt",
    "open-clip-torch",
)


def environment(checkout: pathlib.Path) -> dict[str, str]:
    """Versions by name; `commit` is there where the checkout is a git one."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    commit = _commit(checkout)
    return found if commit is None else {**found, "commit": commit}


def checkout() -> pathlib.Path:
    """The folder that Tuneguard runs from: its examples and demo models lie there."""
    return pathlib.Path(__file__).resolve().parent.parent


def author() -> str:
    """Who pushes a rule version: the login name, where there is one."""
    return getpass.getuser()


def _commit(checkout: pathlib.Path) -> str | None:
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    asked = subprocess.run(
        [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or None
