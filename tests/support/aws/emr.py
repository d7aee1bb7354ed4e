"""Applications of EMR Serverless."""

from __future__ import annotations

from typing import Any

from tests.support.aws.account import Account
from tests.support.aws.convert import given
from tests.support.aws.handler import Change, Handler, Made, NotFoundError, Properties
from tests.support.aws.rules import refuse_if
from tests.support.aws.tagging import removed

IDLE = ("CREATED", "STOPPED")
"""The states in which AWS lets one be changed or deleted."""


class Application(Handler):
    type = "aws:emrserverless/application:Application"
    required = frozenset({"name", "releaseLabel", "type"})
    optional = frozenset(
        {
            "architecture",
            "autoStartConfiguration",
            "autoStopConfiguration",
            "imageConfiguration",
            "initialCapacities",
            "maximumCapacity",
            "monitoringConfiguration",
            "networkConfiguration",
        }
    )
    updates = frozenset({"releaseLabel"}) | optional - {"networkConfiguration"}

    def create(self, aws: Account, new: Properties) -> Made:
        emr = aws.client("emr-serverless")
        made = emr.create_application(
            name=new["name"],
            # The provider keeps it in small letters; moto knows capitals alone.
            type=new["type"].upper(),
            tags=new["tags"],
            **self._parameters(aws, new),
        )
        # moto starts one at once, which AWS does when a run comes.
        emr.stop_application(applicationId=made["applicationId"])
        return Made(made["applicationId"], {"arn": made["arn"]})

    def _parameters(self, aws: Account, new: Properties) -> dict[str, Any]:
        monitoring = new.get("monitoringConfiguration") or {}
        logs = monitoring.get("s3MonitoringConfiguration") or {}
        if "logUri" in logs:
            # AWS looks for both when a run begins.
            bucket = logs["logUri"].removeprefix("s3://").partition("/")[0]
            aws.client("s3").head_bucket(Bucket=bucket)
        if key := logs.get("encryptionKeyArn"):
            aws.client("kms").describe_key(KeyId=key)
        return given(
            releaseLabel=new["releaseLabel"],
            architecture=new.get("architecture"),
            autoStartConfiguration=new.get("autoStartConfiguration"),
            autoStopConfiguration=new.get("autoStopConfiguration"),
            imageConfiguration=new.get("imageConfiguration"),
            initialCapacity=self._initial(new),
            maximumCapacity=new.get("maximumCapacity"),
            monitoringConfiguration=new.get("monitoringConfiguration"),
            networkConfiguration=new.get("networkConfiguration"),
        )

    def _initial(self, new: Properties) -> Properties | None:
        found = {
            one["initialCapacityType"]: one["initialCapacityConfig"]
            for one in new.get("initialCapacities") or ()
        }
        return found or None

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        emr, arn = aws.client("emr-serverless"), change.state["arn"]
        if gone := removed(change):
            aws.unjudged(
                "emr-serverless", "UntagResource", resourceArn=arn, tagKeys=gone
            )
        if change.of("tags"):
            aws.unjudged(
                "emr-serverless",
                "TagResource",
                resourceArn=arn,
                tags=change.new["tags"],
            )
        if change.of(*self.updates):
            emr.update_application(
                applicationId=identifier, **self._parameters(aws, change.new)
            )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        emr = aws.client("emr-serverless")
        found = emr.get_application(applicationId=identifier)["application"]
        if found["state"] == "TERMINATED":
            raise NotFoundError(identifier)
        return found

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        # The provider does not stop it before.
        found = self.read(aws, identifier, state)
        refuse_if(
            found["state"] not in IDLE,
            f"ValidationException: the application is {found['state']}",
        )
        aws.client("emr-serverless").delete_application(applicationId=identifier)
