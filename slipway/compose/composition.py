"""The output: compose.yaml and the files beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.settings import Problem, SettingsError
from components.yaml_text import written

FILE = "compose.yaml"
_MARK = "# Written by `slipway compose"
HEADER = _MARK + " {stack}`; do not edit.\n"
_SERVICE_KEYS = (
    "image",
    "user",
    "read_only",
    "cap_drop",
    "cap_add",
    "security_opt",
    "entrypoint",
    "command",
    "environment",
    "volumes",
    "tmpfs",
    "networks",
    "network_mode",
    "dns",
    "ports",
    "depends_on",
    "healthcheck",
    "restart",
    "stop_grace_period",
    "deploy",
    "logging",
    "labels",
)
"""Order of the keys for readers."""


@dataclass
class Composition:
    """A Compose project under construction."""

    stack: str
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """Content of configuration files, by path relative to compose.yaml."""
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Secret and key, by the variable of .env for it."""
    limits: list[str] = field(default_factory=list)
    """Differences from the cluster, one line each."""

    gpus: int = 0
    """Number of the machine's GPUs that are assigned."""

    def take_gpus(self, count: int) -> list[str]:
        """Indices of GPUs that no other service has."""
        first, self.gpus = self.gpus, self.gpus + count
        return [str(number) for number in range(first, self.gpus)]

    @property
    def project(self) -> str:
        return self.stack.replace(".", "-")

    def add(self, name: str, service: dict[str, Any]) -> None:
        """Add a service; a duplicate name is rejected."""
        if name in self.services:
            raise SettingsError(
                self.stack,
                [
                    Problem(
                        f"models.{name}",
                        name,
                        "another service of this project has the same name",
                        "give the model server another name",
                    )
                ],
            )
        unknown = set(service) - set(_SERVICE_KEYS)
        assert not unknown, unknown
        self.services[name] = {k: service[k] for k in _SERVICE_KEYS if service.get(k)}

    def add_remark(self, line: str) -> None:
        """Add a remark about a difference, once."""
        if line not in self.limits:
            self.limits.append(line)

    def text(self) -> str:
        """compose.yaml."""
        remarks = "".join(f"#   {line}\n" for line in self.limits)
        content = {
            "name": self.project,
            "services": self.services,
            "networks": self.networks,
            "volumes": self.volumes,
        }
        return (
            HEADER.format(stack=self.stack)
            + "#   docker compose up --detach --wait\n"
            + "# What a cluster does and one machine with Compose does not:\n"
            + remarks
            + written(content)
        )

    def all_files(self) -> dict[str, str]:
        """Content of every file by its path."""
        header = HEADER.format(stack=self.stack)
        beside = {path: header + text for path, text in sorted(self.files.items())}
        return {FILE: self.text(), **beside}

    def write(self, out: Path) -> list[Path]:
        """Writes all files; those of an earlier run that no longer belong are deleted.

        Containers mount them and run as other users, so all may read them.
        """
        content = {out / path: text for path, text in self.all_files().items()}
        for old in set(out.rglob("*.yaml")) - set(content):
            if old.read_text().startswith(_MARK):
                old.unlink()
        for path, text in content.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o644)
            path.parent.chmod(0o755)
        return list(content)
