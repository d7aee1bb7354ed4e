"""`slipway keys`: API keys of a model's callers, in the Secret that its gateway reads.

A new key is printed once and stored only in the Secret: in no stack file, no state and
no log. The gateway applies changes within seconds.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click
from pydantic import TypeAdapter, ValidationError

from components import naming
from components.serving.models_settings import ModelsSettings
from components.serving.settings.access_settings import ClientName
from slipway import stack_files, stack_settings
from slipway.cluster.kube_api import KubeApi, KubeApiError, Object
from slipway.engine import stack_api

KEY_BYTES = 32
SECRETS = "/api/v1/namespaces/{namespace}/secrets"


@dataclass(frozen=True)
class Keys:
    """The keys of one model's callers."""

    api: KubeApi
    namespace: str
    secret: str

    @property
    def _list(self) -> str:
        return SECRETS.format(namespace=self.namespace)

    @property
    def _path(self) -> str:
        return f"{self._list}/{self.secret}"

    def clients(self) -> list[str]:
        """Names of those who have a key; empty if there is no Secret yet."""
        # A list of one: it is empty, and no error, where there is none.
        named = f"{self._list}?fieldSelector=metadata.name={self.secret}"
        return sorted({c for found in self.api.items(named) for c in found["data"]})

    def add(self, client: str, key: str) -> None:
        """Give the client a key; its earlier key becomes invalid."""
        coded = base64.b64encode(key.encode()).decode()
        if not self.api.patch(self._path, {"data": {client: coded}}):
            self.api.create(self._list, self._content({client: coded}))

    def revoke(self, client: str) -> None:
        """Takes the client's key away."""
        self.api.patch(self._path, {"data": {client: None}})

    def _content(self, data: dict[str, str]) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {
                "name": self.secret,
                "namespace": self.namespace,
                "labels": naming.labels(self.secret, component="client-keys"),
            },
            "data": data,
        }


@contextmanager
def of_model(stack: str, model: str) -> Iterator[Keys]:
    """The keys of a model's callers; a ClickException says why there are none."""
    settings = stack_settings.load(stack, ModelsSettings)
    args = settings.models.get(model)
    if args is None:
        known = ", ".join(settings.models)
        raise click.ClickException(f"{stack} has no model {model}; it has: {known}")
    if args.access is None or args.access.api_keys is None:
        raise click.ClickException(
            f"{model} requires no API key: set models.{model}.access.api_keys in "
            f"{stack_files.name(stack)}"
        )
    secret = args.access.api_keys.secret
    if secret in settings.client_keys:
        raise click.ClickException(
            f"the stack file holds the keys of {secret} (client_keys): change them "
            "there, or the next `slipway up` would undo it"
        )
    try:
        with stack_api.of_stack(stack) as api:
            yield Keys(api, settings.platform.namespace, secret)
    except KubeApiError as error:
        raise click.ClickException(str(error)) from None


stack_argument = click.argument("stack")
model_argument = click.argument("model")
client_argument = click.argument("client")


@click.group(name="keys")
def command() -> None:
    """Manage API keys of models' callers: add, list, revoke."""


@command.command("add")
@stack_argument
@model_argument
@client_argument
def add_command(stack: str, model: str, client: str) -> None:
    """Create a key of CLIENT for MODEL and print it, once.

    An existing key of the client is replaced.
    """
    try:
        TypeAdapter(ClientName).validate_python(client)
    except ValidationError:
        raise click.BadParameter(
            f"{client!r} is not a valid client name: use up to 63 letters, digits and "
            ". _ - between them"
        ) from None
    with of_model(stack, model) as keys:
        known = client in keys.clients()
        key = secrets.token_urlsafe(KEY_BYTES)
        keys.add(client, key)
    click.echo(f"{client} has a {'new ' if known else ''}key, shown once:", err=True)
    click.echo(key)


@command.command("list")
@stack_argument
@model_argument
def list_command(stack: str, model: str) -> None:
    """List the clients that have a key for MODEL; the keys are not shown."""
    with of_model(stack, model) as keys:
        for client in keys.clients():
            click.echo(client)


@command.command("revoke")
@stack_argument
@model_argument
@client_argument
def revoke_command(stack: str, model: str, client: str) -> None:
    """Revoke CLIENT's key for MODEL."""
    with of_model(stack, model) as keys:
        if client not in keys.clients():
            known = ", ".join(keys.clients()) or "nobody"
            raise click.ClickException(f"{client} has no key; known: {known}")
        keys.revoke(client)
    click.echo(f"{client}'s key stops working within seconds.", err=True)
