"""Runs the agent.

Settings, by environment: NODE_NAME (whose pods), NODE_ADDRESS (where probes and metrics
are answered; empty: everywhere), POLICY_AGENT_PORT (9477), POLICY_AGENT_INTERFACES (the
host's ends of pods' cables, `veth*`; ends with 2 if they take in loopback or the
interface of a default route), POLICY_AGENT_OWNER (path of the DaemonSet in the
API).

On SIGTERM the rules stay in force, as at every restart, unless the owner is gone: then
nobody would look after them, and they are removed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from http import HTTPStatus

from pod_parts.api_client import Api
from pod_parts.api_server import ApiError
from policy_agent import interfaces, state, web
from policy_agent.agent import Agent
from policy_agent.log import log
from policy_agent.nft import Nft, NftError


def is_orphaned(api: Api, owner: str) -> bool:
    """Return whether the DaemonSet is deleted or being deleted; False if unknown."""
    try:
        metadata = api.get(owner)["metadata"]
    except ApiError as error:
        return error.status == HTTPStatus.NOT_FOUND
    return "deletionTimestamp" in metadata


def main() -> int:
    environment = dict(os.environ)
    pods = environment.get("POLICY_AGENT_INTERFACES", "veth*")
    if wrong := interfaces.problem(pods):
        log(f"POLICY_AGENT_INTERFACES: {wrong}", level="error")
        return 2
    api = Api.of_cluster(environment, "slipway-policy-agent")
    agent = Agent(
        state.State(),
        environment["NODE_NAME"],
        Nft(),
        pods,
    )

    def stop(number: int, _frame: object) -> None:
        log(f"stopping on {signal.Signals(number).name}")
        # The loop that this handler interrupts may hold an event's lock.
        threading.Thread(target=agent.stop).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    def failed() -> None:
        agent.errors["api"] += 1

    for kind in state.KINDS:
        arguments = (api, kind, agent.state, failed)
        threading.Thread(target=state.follow, args=arguments, daemon=True).start()
    port = int(environment.get("POLICY_AGENT_PORT", "9477"))
    server = web.server(environment.get("NODE_ADDRESS", ""), port, agent)
    server.start()
    log(f"enforces for {agent.node}, listens on port {server.port}")
    agent.run()
    owner = environment.get("POLICY_AGENT_OWNER", "")
    if owner and is_orphaned(api, owner):
        try:
            agent.nft.remove()
        except NftError as error:
            log(f"the table could not be removed: {error}", level="error")
            return 1
        log("the DaemonSet is gone; the table is removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
