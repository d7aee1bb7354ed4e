"""The roles as an Ansible collection, `slipway.hosts`.

In the checkout, filters lie beside the role that has them, and roles name each other by
their short names. Ansible finds neither kind of filter in a collection: there, filters
are plugins with full names
(https://docs.ansible.com/ansible/latest/dev_guide/developing_collections_structure.html).
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import sys
import tarfile
from pathlib import Path

from toolchain import commands

NAMESPACE, NAME = "slipway", "hosts"
PLAYBOOKS = ("docker.yml", "kubernetes.yml", "reset.yml")
"""Those for hosts of any kind; lab.yml is for the lab's."""
TEMPLATES = (".yml", ".yaml", ".j2")
BUILD_SECONDS = 300.0
_FILTER = re.compile(r'^\s+"(\w+)": \w+', re.MULTILINE)
_MODE = 0o644


def arrange(playbooks: Path, version: str, target: Path) -> None:
    """Writes the collection's folder from the checkout's `playbooks`."""
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(playbooks / "roles", target / "roles", ignore=unwanted)
    (target / "playbooks").mkdir()
    for name in PLAYBOOKS:
        shutil.copy(playbooks / name, target / "playbooks" / name)
    plugins = target / "plugins" / "filter"
    plugins.mkdir(parents=True)
    for folder in sorted((target / "roles").glob("*/filter_plugins")):
        for file in folder.glob("*.py"):
            shutil.move(file, plugins / file.name)
        folder.rmdir()
    _name_filters(target)
    for name in ("README.md", "meta"):
        _copy(playbooks / "collection" / name, target / name)
    manifest = (playbooks / "collection" / "galaxy.yml").read_text()
    (target / "galaxy.yml").write_text(f"{manifest}version: {version}\n")


def _copy(source: Path, target: Path) -> None:
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def _name_filters(target: Path) -> None:
    """Gives every use of an own filter its full name."""
    found = [
        name
        for file in sorted((target / "plugins" / "filter").glob("*.py"))
        for name in _FILTER.findall(file.read_text().partition("def filters")[2])
    ]
    use = re.compile(rf"\|(\s*)({'|'.join(found)})\b")
    for file in sorted((target / "roles").rglob("*")):
        if file.suffix in TEMPLATES:
            text = file.read_text()
            file.write_text(use.sub(rf"|\1{NAMESPACE}.{NAME}.\2", text))


def build(folder: Path, version: str, out: Path, epoch: int) -> Path:
    """Builds the arranged collection; the archive's bytes depend on its files only."""
    program = Path(sys.executable).with_name("ansible-galaxy")
    made = folder.parent / "built"
    commands.run(
        [str(program), "collection", "build", str(folder)]
        + ["--output-path", str(made), "--force"],
        environment={"ANSIBLE_HOME": str(folder.parent / "ansible")},
        timeout_seconds=BUILD_SECONDS,
    )
    name = f"{NAMESPACE}-{NAME}-{version}.tar.gz"
    (out / name).write_bytes(_dated((made / name).read_bytes(), epoch))
    return out / name


def _dated(archive: bytes, epoch: int) -> bytes:
    """The archive with one date and owner, which Ansible takes from the clock."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as old,
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=epoch) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda it: it.name):
            member.mtime, member.uid, member.gid = epoch, 0, 0
            member.uname = member.gname = "root"
            member.pax_headers = {}
            content = old.extractfile(member) if member.isfile() else None
            new.addfile(member, content)
    return packed.getvalue()
