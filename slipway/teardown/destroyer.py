"""`slipway destroy`: drain, the engine's own destroy, and a look at what is left."""

from __future__ import annotations

from collections.abc import Callable

from slipway import progress
from slipway.account import CannotAskError, Client, session_clients
from slipway.cluster import target
from slipway.cluster.kube_api import KubeApi, KubeApiError
from slipway.cluster.target import Target
from slipway.engine import engine as engines
from slipway.engine.results import EngineError, StackResult
from slipway.teardown import applications, leftovers
from slipway.teardown.aws import Found
from slipway.teardown.drain import Drain
from slipway.teardown.leftovers import LeftoverError
from slipway.teardown.protection import refuse_protected
from slipway.teardown.sweep import Sweep
from slipway.waiting import Waiting
from stacks import layers

Reach = Callable[[Target], KubeApi]


def reach(cluster: Target) -> KubeApi:
    """The cluster's API, with the caller's AWS credentials."""
    return KubeApi.of_eks(
        cluster.name, cluster.region, cluster.endpoint, cluster.authority
    )


class Destroyer:
    """Destroys stacks; one of the layer `cluster` is emptied first.

    Run again after any end of it, it goes on: each step looks at what there is.
    """

    def __init__(
        self,
        engine: engines.Engine | None = None,
        *,
        delete_volumes: bool = False,
        found: Callable[[Target], Found] = Found,
        reach: Reach = reach,
        clients: Callable[[str], Callable[[str], Client]] = session_clients,
    ) -> None:
        """`clients`: of a region, by the name of a service."""
        self._engine = engine or engines.Engine()
        self._delete_volumes = delete_volumes
        self._found, self._reach, self._clients = found, reach, clients

    def destroy(self, stack: str) -> StackResult:
        """Deletes all of the stack, and what the cluster's controllers made.

        ProtectedError before anything is touched; LeftoverError if something is left.
        """
        layer, _ = layers.split(stack)
        if layer == layers.JOBS:
            self._stop_applications(stack)
        if layer != layers.CLUSTER:
            return self._engine.destroy(stack)
        resources = self._engine.resources(stack)
        refuse_protected(stack, resources)
        cluster = target.find(stack, resources)
        if cluster is None:
            return self._engine.destroy(stack)
        return self._destroy(stack, cluster)

    def _destroy(self, stack: str, cluster: Target) -> StackResult:
        found = self._found(cluster)
        waiting = Waiting(lambda text: self._say(stack, text))
        sweep = Sweep(found, waiting, volumes=self._delete_volumes)
        self._check_account(stack, cluster, found)
        try:
            self._drain(stack, cluster, waiting)
            sweep.run()
        except KeyboardInterrupt:
            errors = [("", "it was interrupted while it emptied the cluster")]
            raise EngineError(stack, "destroy", errors, interrupted=True) from None
        try:
            result = self._engine.destroy(stack)
        except EngineError as error:
            if error.interrupted or not sweep.run():
                raise
            self._say(stack, "something was in the way and is gone: once more")
            result = self._engine.destroy(stack)
        self._look_for_leftovers(stack, found)
        return result

    def _stop_applications(self, stack: str) -> None:
        """Of EMR Serverless, before anything else: AWS deletes none that has started.

        ProtectedError if the log bucket is to be kept.
        """
        resources = self._engine.resources(stack)
        refuse_protected(stack, resources)
        waiting = Waiting(lambda text: self._say(stack, text))
        try:
            for one in applications.of(resources):
                applications.stop(one, self._clients(one.region), waiting)
        except CannotAskError as error:
            raise EngineError(stack, "destroy", [("", str(error))]) from None

    def _check_account(self, stack: str, cluster: Target, found: Found) -> None:
        """EngineError with credentials of another account, or none."""
        try:
            account = found.account()
        except CannotAskError as error:
            raise EngineError(stack, "destroy", [("", str(error))]) from None
        if account != cluster.account:
            text = (
                f"the credentials belong to account {account}, but {cluster.name} is "
                f"in {cluster.account}: set AWS_PROFILE"
            )
            raise EngineError(stack, "destroy", [("", text)])

    def _drain(self, stack: str, cluster: Target, waiting: Waiting) -> None:
        if not cluster.endpoint:
            return
        try:
            with self._reach(cluster) as api:
                if why := api.answers():
                    raise KubeApiError(why)  # noqa: TRY301
                left = Drain(api, waiting).run()
        except KubeApiError as error:
            self._say(
                stack,
                f"{cluster.name} does not answer ({error}): resources that its "
                "controllers created are found by tags",
            )
            return
        if left:
            self._say(stack, f"left to be looked for by tags: {', '.join(left)}")

    def _look_for_leftovers(self, stack: str, found: Found) -> None:
        try:
            left = leftovers.find(found)
        except CannotAskError as error:
            raise LeftoverError(stack, [], str(error)) from None
        if left:
            self._engine.console.print(leftovers.table(left))
            raise LeftoverError(stack, left, "")
        self._say(stack, f"no resource has the tags of {found.target.name} any more")

    def _say(self, stack: str, text: str) -> None:
        progress.say(self._engine.console, f"{stack}: {text}")
