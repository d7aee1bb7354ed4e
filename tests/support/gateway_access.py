"""Two models with access control in the lab, and changes of the lab's gateway.

A stack of its own beside the lab's: one model asks for keys, one for tokens. The keys
of one client are encrypted in the stack file by Pulumi's own command.
"""

from __future__ import annotations

import shutil
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from components.platform import own_ca
from slipway.cluster.kube_api import KubeApi
from slipway.engine import pulumi_cli, workspace
from slipway.engine.engine import Engine
from slipway.keys import Keys
from tests.support import own_stack
from tests.support.tokens import ISSUER, Issuer
from toolchain import paths

STACK, PLATFORM = "models.access", "platform.lab"
KEYS, TOKENS = "access-keys", "access-tokens"
CLIENT, KEY = "configured", "a-key-of-the-encrypted-settings-0123456789"
RATE = 30
BODY_KIB = 16
AUDIENCE = "models"
SMALL = {
    "model_image": "employment",
    "model": "employment",
    "scaling": {"min_replicas": 1, "max_replicas": 2, "accept_single_replica": True},
    "resources": {
        "cpu_request_millicores": 50,
        "cpu_limit_millicores": 500,
        "memory_request_mib": 128,
        "memory_limit_mib": 384,
    },
    "prediction_log": {"total_mib": 16, "file_mib": 4},
}


@dataclass
class AccessStack:
    """The stack, its callers, and the addresses of the lab's gateway."""

    root: Path
    """A copy of the files that the engine needs of the checkout."""
    api: KubeApi
    urls: dict[str, str]
    issuer: Issuer

    def up(self) -> None:
        rate = {"requests": RATE, "per": "hour"}
        jwt = {"issuer": ISSUER, "audiences": [AUDIENCE], "jwks": self.issuer.jwks}
        keys = {
            "api_keys": {"secret": KEYS},
            "rate_per_client": rate,
            "max_body_kib": BODY_KIB,
        }
        tokens = {"jwt": jwt, "rate_per_client": rate}
        models = {
            name: SMALL | {"route": {"prefix": f"/{name}/v1"}, "access": access}
            for name, access in ((KEYS, keys), (TOKENS, tokens))
        }
        self._write(
            STACK, {"slipway:cluster": {"kubeconfig": "lab"}, "slipway:models": models}
        )
        self._encrypt(f"slipway:client_keys.{KEYS}.{CLIENT}", KEY)
        self._engine().up(STACK)

    def down(self) -> None:
        own_stack.end_pods(STACK)
        self._engine().destroy(STACK)
        self._engine().forget("access")

    def gateway(self, **tls: Any) -> None:
        """The lab's gateway with other settings of TLS; none gives it back."""
        file = f"Pulumi.{PLATFORM}.yaml"
        lab = yaml.safe_load((paths.ROOT / "stacks" / "config" / file).read_text())
        lab["config"]["slipway:gateway"]["tls"] |= tls
        self._write(PLATFORM, lab["config"])
        self._engine().up(PLATFORM)

    def _write(self, stack: str, config: dict[str, Any]) -> None:
        files = self.root / "stacks" / "config"
        files.mkdir(parents=True, exist_ok=True)
        shutil.copy(paths.ROOT / "Pulumi.yaml", self.root)
        file = files / f"Pulumi.{stack}.yaml"
        file.write_text(yaml.safe_dump({"config": config}))

    def _encrypt(self, path: str, value: str) -> None:
        """As a person does it, with `pulumi` in the checkout."""
        found = pulumi_cli.find()
        environment = {**found.environment, **workspace.environment()}
        for words in (
            ["stack", "select", "--create", STACK],
            ["config", "set", "--secret", "--path", path, value, "--stack", STACK],
        ):
            found.command.run(words, cwd=str(self.root), additional_env=environment)

    def _engine(self) -> Engine:
        return Engine(root=self.root)

    @property
    def keys(self) -> Keys:
        return Keys(self.api, "models", KEYS)

    @property
    def authority(self) -> str:
        return str(own_ca.authority_file(PLATFORM))

    def client(self) -> httpx.Client:
        """Speaks HTTPS, and trusts the lab's authority alone."""
        trusted = ssl.create_default_context(cafile=self.authority)
        base = self.urls["gateway-tls"]
        return httpx.Client(base_url=base, verify=trusted, timeout=20)
