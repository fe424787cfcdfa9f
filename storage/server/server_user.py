"""As whom the embedded Postgres runs: as ourselves, but never as root, which Postgres refuses.

Root starts it as the system's `postgres` user, or as a system user `tuneguard` made for it. Such a user may be barred
from the folders above the data folder (`/root` usually is closed); instead of opening them for everybody, the server
process alone is given the capability to pass.
"""

import os
import pathlib
import pwd
import shutil
import stat
import subprocess

from storage import errors

_NAMES = ("postgres", "tuneguard")


def account() -> pwd.struct_passwd:
    """The user that the server runs as; for root, made where there is none yet.

    Raises:
        errors.EmbeddedError: we are root and cannot make the user.
    """
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in _NAMES:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return _made(_NAMES[-1])


def hand_over(path: pathlib.Path) -> None:
    """Make `path` the server's own, closed to everybody else."""
    owner = account()
    path.chmod(stat.S_IRWXU if path.is_dir() else stat.S_IRUSR | stat.S_IWUSR)
    if os.geteuid() == 0:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def prefix(*paths: pathlib.Path) -> list[str]:
    """What stands before a command that the server's user runs on `paths`: nothing, unless we are root.

    Raises:
        errors.EmbeddedError: we are root and the system cannot change the user.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise errors.EmbeddedError(
            "Postgres does not run as root, and the command `setpriv` (package util-linux), which starts it as another "
            "user, is missing. Install util-linux, or run Tuneguard as an ordinary user."
        )
    owner = account()
    command = [setpriv, f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    if not all(_open_to(owner, parent) for path in paths for parent in path.absolute().parents):
        command += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return command


def _open_to(owner: pwd.struct_passwd, folder: pathlib.Path) -> bool:
    status = folder.stat()
    if status.st_uid == owner.pw_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    return bool(status.st_mode & stat.S_IXOTH)


def _made(name: str) -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise errors.EmbeddedError(
            f"Postgres does not run as root, and the system user {name!r} for it cannot be made: {reason}. "
            "Run Tuneguard as an ordinary user."
        ) from error
    return pwd.getpwnam(name)
