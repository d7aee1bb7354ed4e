"""One training job: all objects that a run needs, and the template of its runs."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from components.security import network
from components.security.network import Rule
from components.serving.pods.network_policy import allowance
from components.training import gang, pod, run_template
from components.training.training_settings import TrainingJobArgs
from components.workload import Workload


class TrainingJob(Workload):
    """A gang of workers, started by `slipway run` or by its schedule.

    Creates, in the jobs' namespace:

    - ServiceAccount `<name>` that no pod gets a token of
    - NetworkPolicy `<name>`: workers reach each other, DNS, with a bucket HTTPS, and
      whom `egress` names; nobody else reaches them
    - Service `<name>` without an address: the workers' DNS names, from their start on
    - ConfigMap `<name>`: what several workers wait for each other with; also for one,
      as a run of the settings from before may still mount it
    - CronJob `<name>`, suspended unless there is a schedule: the template of the runs,
      each an Indexed Job; a run is deleted with it

    Claims are the stack's: several jobs may use one (stacks/jobs.py).
    """

    def __init__(
        self,
        name: str,
        args: TrainingJobArgs,
        *,
        namespace: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "slipway:training:TrainingJob",
            name,
            namespace=namespace,
            component="training",
            program=naming.TRAINING_JOB,
            opts=opts,
        )
        self._args = args
        self.add_account(args.service_account.annotations)
        self.add_network_policy(
            ingress=[{"from": [self._gang]}], egress=list(self._egress())
        )
        # There are no pods before a run, so the engine would wait for them.
        self.add_headless_service(annotations=naming.SKIP_AWAIT)
        self.add_config(gang.config())
        self._template()
        self.register_outputs({})

    @property
    def _gang(self) -> Rule:
        """Return a peer: the job's own pods."""
        return {"podSelector": {"matchLabels": self.selector}}

    def _egress(self) -> list[Rule]:
        args = self._args
        rules = [network.allow_dns(), network.allow_to(self._gang)]
        if args.uses_buckets:
            # An object store has no fixed address.
            rules.append(network.allow_to(on=(443,)))
        if args.service_account.pod_identity:
            rules.append(network.allow_role_agent())
        return rules + [allowance(one) for one in args.egress]

    def _template(self) -> None:
        args = self._args
        spec = gang.job_spec(
            args,
            {
                "metadata": self.pod_metadata(),
                "spec": pod.of(self.name, args, self.selector),
            },
        )
        labels = dict(self.labels)
        if args.queue:
            labels[gang.KUEUE_QUEUE] = args.queue
        kubernetes.batch.v1.CronJob(
            f"{self.name}-template",
            metadata=self.metadata(
                annotations={naming.SETTINGS_ANNOTATION: args.digest}
            ),
            spec=run_template.cron_job_spec(args.schedule, labels, spec),
            opts=self.options(),
        )
