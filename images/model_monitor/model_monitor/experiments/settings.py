"""Settings of experiment reports: the servers, and the rollout controller."""

from __future__ import annotations

import re
from dataclasses import dataclass

from model_monitor.config_fields import REQUIRED, Fields, WrongError
from model_monitor.exchange import Address, address

_SERVER = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Experiments:
    """The model servers whose reports are renewed with the results."""

    controller: Address
    """Address of the rollout controller, which provides the plan and its times."""
    servers: tuple[str, ...]


def parse(fields: Fields) -> Experiments:
    """Return the settings of the section `experiments`."""
    nowhere = Address(is_secure=False, host="", port=0, path="/")
    found = Experiments(
        controller=fields.member("controller_url", REQUIRED, address, nowhere),
        servers=fields.member("servers", REQUIRED, _servers, ()),
    )
    fields.end()
    return found


def _servers(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise WrongError("is not a list of model servers; name at least one")
    if not all(isinstance(it, str) and _SERVER.fullmatch(it) for it in value):
        raise WrongError(
            "has an entry that is not a name of a model server; write it as the stack"
        )
    return tuple(dict.fromkeys(value))
