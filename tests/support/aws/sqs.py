"""Queues and their policies."""

from __future__ import annotations

import json
from typing import Any

from tests.support.aws.account import Account
from tests.support.aws.handler import Change, Handler, Made, Properties, SettingHandler
from tests.support.aws.tagging import removed

ATTRIBUTES = {
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "delaySeconds": "DelaySeconds",
    "maxMessageSize": "MaximumMessageSize",
}


class Queue(Handler):
    type = "aws:sqs/queue:Queue"
    required = frozenset({"name"})
    optional = frozenset(ATTRIBUTES)
    updates = frozenset(ATTRIBUTES)

    def _attributes(self, new: Properties) -> dict[str, str]:
        return {
            attribute: str(new[name]).lower()
            if isinstance(new[name], bool)
            else str(new[name])
            for name, attribute in ATTRIBUTES.items()
            if name in new
        }

    def create(self, aws: Account, new: Properties) -> Made:
        made = aws.client("sqs").create_queue(
            QueueName=new["name"], Attributes=self._attributes(new), tags=new["tags"]
        )
        told = {"arn": aws.arn("sqs", new["name"]), "url": made["QueueUrl"]}
        return Made(made["QueueUrl"], told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        sqs = aws.client("sqs")
        if gone := removed(change):
            sqs.untag_queue(QueueUrl=identifier, TagKeys=gone)
        sqs.tag_queue(QueueUrl=identifier, Tags=change.new["tags"])
        if change.of(*ATTRIBUTES):
            sqs.set_queue_attributes(
                QueueUrl=identifier, Attributes=self._attributes(change.new)
            )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("sqs").get_queue_attributes(
            QueueUrl=identifier, AttributeNames=["All"]
        )

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("sqs").delete_queue(QueueUrl=identifier)


class QueuePolicy(SettingHandler):
    type = "aws:sqs/queuePolicy:QueuePolicy"
    required = frozenset({"queueUrl", "policy"})
    updates = frozenset({"policy"})

    def put(self, aws: Account, new: Properties) -> str:
        json.loads(new["policy"])
        aws.client("sqs").set_queue_attributes(
            QueueUrl=new["queueUrl"], Attributes={"Policy": new["policy"]}
        )
        url: str = new["queueUrl"]
        return url

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("sqs").get_queue_attributes(
            QueueUrl=identifier, AttributeNames=["Policy"]
        )

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("sqs").set_queue_attributes(
            QueueUrl=identifier, Attributes={"Policy": ""}
        )
