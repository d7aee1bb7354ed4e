"""The engine's workspace: state, passphrase, and a copy of the project's files.

The engine writes to its working folder (a stack file gets its `encryptionsalt`), so it
works on copies in the user's state folder and the checkout is never changed.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlparse

from components.yaml_text import written
from slipway import stack_files
from stacks.files import KEPT_BY_ENGINE
from stacks.values import is_production
from toolchain import paths, whole_files
from toolchain.errors import WrongInputError

PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
_FILE = "file://"


def backend_url() -> str:
    """Return the user's backend, otherwise a folder in the state folder.

    A relative folder is one of the folder that the command runs in: the engine, which
    runs in its working folder, would look there.
    """
    given = os.environ.get("PULUMI_BACKEND_URL")
    if not given:
        return f"{_FILE}{_own_backend()}"
    path = given.removeprefix(_FILE)
    if path == given or path.startswith(("/", "~")):  # the engine knows a home folder
        return given
    return f"{_FILE}{Path.cwd()}/{path}"


def _own_backend() -> Path:
    return paths.state() / "pulumi"


def backend_folder() -> Path | None:
    """The folder of a file backend; None for any other kind."""
    url = urlparse(backend_url())
    if url.scheme != "file":
        return None
    return Path(unquote(url.netloc + url.path)).expanduser()


def environment() -> dict[str, str]:
    """Return backend and passphrase for the engine's environment, without secrets."""
    values = {"PULUMI_BACKEND_URL": backend_url()}
    if backend := backend_folder():
        backend.mkdir(parents=True, exist_ok=True)
    if not any(variable in os.environ for variable in PASSPHRASE_VARIABLES):
        values["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase_file())
    return values


def passphrase_file() -> Path:
    """A file with a passphrase of our own, made at first use, readable by its owner.

    The engine is given the file's name, so this process never holds its content again.
    """
    path = paths.state() / "passphrase"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # If another run was first, its file is used.
        with suppress(FileExistsError):
            whole_files.create(path, secrets.token_urlsafe(32), 0o600)
    return path


def folder(stack: str) -> Path:
    """Return the engine's folder for a stack; each backend has a separate one."""
    backend = hashlib.sha256(backend_url().encode()).hexdigest()[:8]
    return paths.state() / "pulumi-work" / backend / stack


def prepare(stack: str, root: Path | None = None) -> Path:
    """Copies the project file and the stack's file into the work folder.

    Comes with what the engine added to the earlier copy, unless the checkout's file
    has its own.
    """
    work = folder(stack)
    file = stack_files.path(stack, work)
    file.parent.mkdir(parents=True, exist_ok=True)
    before = stack_files.read(file) if file.is_file() else {}
    content = stack_files.load(stack, root)
    if not any(key in content for key in KEPT_BY_ENGINE):
        content |= {key: before[key] for key in KEPT_BY_ENGINE if key in before}
    _check_secrets(stack, content)
    project = (root or paths.PROJECT) / stack_files.PROJECT_FILE
    # First: a folder with the stack's file is one that a later run works in.
    whole_files.write(work / stack_files.PROJECT_FILE, project.read_text())
    whole_files.write(file, written(content))
    return work


def _check_secrets(stack: str, content: Mapping[str, object]) -> None:
    """Reject shared state that only this machine's own passphrase decrypts."""
    if any(variable in os.environ for variable in PASSPHRASE_VARIABLES):
        return
    url = urlparse(backend_url())
    # A service does its own encryption.
    if content.get("secretsprovider") or url.scheme in ("http", "https"):
        return
    if url.scheme != "file":
        where = f"the state in {backend_url()}"
    elif _is_production(content):
        where = "production's state"
    else:
        return
    raise WrongInputError(
        f"{stack}: {where} would be encrypted with a passphrase that only this "
        "machine has, so nobody else could read or change it. For a new stack set "
        "secretsprovider in the stack file to a key of your cloud, such as "
        "awskms://alias/slipway?region=eu-central-1. For one that exists, set "
        f"{PASSPHRASE_VARIABLES[1]} to a file that all who deploy share (this "
        f"machine's is {paths.state() / 'passphrase'}), or move it to a key with "
        "`pulumi stack change-secrets-provider`."
    )


def _is_production(content: Mapping[str, object]) -> bool:
    """Return whether the settings of the stack's layer set it."""
    config = content.get("config")
    if not isinstance(config, Mapping):
        return False
    account = config.get("slipway:account")
    named = account.get("production") if isinstance(account, Mapping) else None
    keys = ("slipway:production", "slipway:account.production")
    given = (named, *map(config.get, keys))
    return any(is_production(it) for it in given if it is not None)


def state_file(stack: str, root: Path | None = None) -> Path | None:
    """Return a file backend's state file of a stack; None for any other kind."""
    backend = backend_folder()
    if backend is None:
        return None
    project = stack_files.project_name(root)
    return backend / ".pulumi" / "stacks" / project / f"{stack}.json"


def may_have_pending(stack: str, root: Path | None = None) -> bool:
    """Return False only if a look at a file backend, the faster way, rules it out."""
    file = state_file(stack, root)
    if file is None or not file.is_file():  # compressed, for example
        return True
    return '"pending_operations"' in file.read_text()
