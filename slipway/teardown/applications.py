"""Applications of EMR Serverless, which AWS deletes only if they have stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slipway.account import AwsCall, CannotAskError, Client
from slipway.cluster.target import State
from slipway.emr_api import ACTIVE, APPLICATION, SERVICE, identifier
from slipway.waiting import Waiting

DELETABLE = ("CREATED", "STOPPED", "TERMINATED")
STOP_SECONDS = 600.0
"""It stops in a minute; workers kept ready have to go before."""


@dataclass(frozen=True)
class Application:
    """One that the engine remembers."""

    id: str
    name: str
    region: str


def of(resources: State) -> list[Application]:
    """The applications of a stack."""
    return [
        Application(
            str(one["id"]),
            str(one["outputs"]["name"]),
            str(one["outputs"]["arn"]).split(":")[3],
        )
        for one in resources
        if one["type"] == APPLICATION and one.get("id")
    ]


def stop(
    application: Application, clients: Callable[[str], Client], waiting: Waiting
) -> None:
    """Stops it and waits; CannotAskError if runs go on, or if it does not stop."""
    client = clients(SERVICE)
    if _state(client, application) in DELETABLE:
        return
    if runs := _active(client, application):
        raise CannotAskError(
            f"the application {application.name} has runs that go on: "
            f"{', '.join(runs)}",
            "wait for them, or stop each: slipway jobs stop RUN",
        )
    with AwsCall(SERVICE, "stop_application"):
        client.stop_application(applicationId=application.id)
    if waiting.until_gone(
        "applications that stop",
        lambda: [application.name] * (_state(client, application) not in DELETABLE),
        STOP_SECONDS,
    ):
        raise CannotAskError(
            f"the application {application.name} does not stop", "run it again"
        )


def _state(client: Client, application: Application) -> str:
    """TERMINATED if there is no such application any more."""
    try:
        with AwsCall(SERVICE, "get_application"):
            answer = client.get_application(applicationId=application.id)
    except CannotAskError as error:
        if error.code == "ResourceNotFoundException":
            return "TERMINATED"
        raise
    return str(answer["application"]["state"])


def _active(client: Client, application: Application) -> list[str]:
    with AwsCall(SERVICE, "list_job_runs"):
        pages = client.get_paginator("list_job_runs").paginate(
            applicationId=application.id, states=list(ACTIVE)
        )
        return [identifier(run) for page in pages for run in page["jobRuns"]]
