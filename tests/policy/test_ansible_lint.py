"""Playbooks and roles: the strictest lint profile, and every variable documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import role_reference
from toolchain import paths

PLAYBOOKS = paths.ROOT / "playbooks"
ROLES = sorted(folder.name for folder in (PLAYBOOKS / "roles").iterdir())
SOURCES = sorted(
    path
    for path in PLAYBOOKS.rglob("*")
    if path.suffix in (".yml", ".yaml", ".j2", ".cfg") or path.name == ".ansible-lint"
)


def load(role: str, part: str) -> Any:
    path = PLAYBOOKS / "roles" / role / part / "main.yml"
    return yaml.safe_load(path.read_text()) if path.is_file() else None


def options(role: str) -> dict[str, Any]:
    path = PLAYBOOKS / "roles" / role / "meta" / "argument_specs.yml"
    spec = yaml.safe_load(path.read_text())["argument_specs"]["main"]
    assert spec["short_description"]
    found: dict[str, Any] = spec["options"]
    return found


def test_the_production_profile_finds_nothing(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("ansible-lint")
    config = ["--offline", "--nocolor", "--profile=production", "-c", ".ansible-lint"]
    places = ["docker.yml", "kubernetes.yml", "lab.yml", "reset.yml"]
    places += ["roles", "inventory"]
    done = subprocess.run(
        [program, *config, *places],
        cwd=PLAYBOOKS,
        env={
            **os.environ,
            "ANSIBLE_HOME": str(tmp_path),
            "PATH": f"{program.parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed: 0 failure(s), 0 warning(s)" in done.stderr
    assert "Profile 'production' was required, and it passed" in done.stderr


def test_nothing_is_exempt_or_ignored() -> None:
    words = "noqa|skip_list|warn_list|exclude_paths|ignore_errors"
    modules = r"ansible\.builtin\.(?:shell|raw)\b"
    found = {
        f"{path}: {match}"
        for path in SOURCES
        for match in re.findall(f"{words}|{modules}", path.read_text())
    }
    assert not found


def test_only_modules_of_ansible_core_are_called() -> None:
    lists = [path for path in SOURCES if path.parent.name in ("tasks", "handlers")]
    called = {
        module
        for path in lists
        for module in re.findall(r"(?m)^ +(\w+\.\w+\.\w+):", path.read_text())
    }
    assert "ansible.builtin.template" in called
    assert all(module.startswith("ansible.builtin.") for module in called)


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_a_role_is_documented(role: str) -> None:
    documented = options(role)
    for name, value in (load(role, "defaults") or {}).items():
        assert name.startswith(f"{role}_")
        option = documented.pop(name, None)
        assert option, f"{role}: {name} is missing in argument_specs.yml"
        assert option["description"]
        if isinstance(value, str) and "{{" in value:
            assert "default" not in option
        else:
            assert option["default"] == value
    assert not documented, "without a default, or no longer in the role"


def test_every_role_is_used() -> None:
    plays = [
        play
        for name in ("docker.yml", "kubernetes.yml", "reset.yml")
        for play in yaml.safe_load((PLAYBOOKS / name).read_text())
    ]
    named = {entry["role"] for play in plays for entry in play["roles"]}
    needed = {
        entry["role"] for role in named for entry in load(role, "meta")["dependencies"]
    }
    assert named | needed == set(ROLES)


def test_the_lab_sets_only_variables_that_roles_have() -> None:
    (entry,) = yaml.safe_load((PLAYBOOKS / "lab.yml").read_text())
    known = {name for role in ROLES for name in options(role)}
    assert set(entry["vars"]) <= known


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_a_licence_and_a_description(role: str) -> None:
    info = load(role, "meta")["galaxy_info"]
    assert info["license"] == "Apache-2.0"
    assert info["description"]


def test_the_page_of_roles_is_generated() -> None:
    written = (paths.ROOT / role_reference.PAGE).read_text()
    assert written == role_reference.page(), "run `make docs`"
