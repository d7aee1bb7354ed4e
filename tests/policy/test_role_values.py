"""Values that a role refuses by itself, before its first change to a host."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from toolchain import paths

REGISTRY = paths.ROOT / "playbooks" / "roles" / "registry"
OPEN, ACCOUNTS = ":5000", "/etc/docker/registry/accounts"
HOSTS: dict[str, dict[str, Any]] = {
    "deletes": {"registry_deletion": True, "registry_address": OPEN},
    "deletes-elsewhere": {
        "registry_deletion": True,
        "registry_address": "192.0.2.1:5000",
    },
    "deletes-somewhere": {
        "registry_deletion": True,
        "registry_address": "127.evil.example:5000",
    },
    "keeps": {"registry_address": OPEN},
    "keeps-by-text": {"registry_address": OPEN, "registry_deletion": "false"},
    "loopback-6": {"registry_deletion": True, "registry_address": "[::1]:5000"},
    "loopback": {"registry_deletion": True},
    "accounts": {
        "registry_deletion": True,
        "registry_address": OPEN,
        "registry_htpasswd": ACCOUNTS,
    },
}


def test_a_registry_that_anybody_could_empty_is_refused(tmp_path: Path) -> None:
    """A dry run of the role's own tasks: one that is stopped gets no further."""
    defaults = yaml.safe_load((REGISTRY / "defaults" / "main.yml").read_text())
    tasks = str(REGISTRY / "tasks" / "main.yml")
    play = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.import_tasks": tasks}],
        "handlers": [{"name": "Restart the registry", "ansible.builtin.meta": "noop"}],
    }
    common = {"ansible_python_interpreter": sys.executable, **defaults}
    hosts = {name: common | given for name, given in HOSTS.items()}
    inventory = {"all": {"hosts": hosts}}
    (tmp_path / "book.yml").write_text(json.dumps([play]))
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    (tmp_path / "templates").symlink_to(REGISTRY / "templates")
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [program, "--check", "--inventory", "hosts.json", "book.yml"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    stopped = {
        line.split("[")[1].split("]")[0]
        for line in done.stdout.splitlines()
        if line.startswith("fatal:") and "could delete images" in line
    }
    wanted = {"deletes", "deletes-elsewhere", "deletes-somewhere"}
    assert stopped == wanted, done.stdout + done.stderr
