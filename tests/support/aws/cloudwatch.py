"""Log groups, and rules of EventBridge with their targets."""

from __future__ import annotations

import json
from typing import Any

from tests.support.aws import log_rules
from tests.support.aws.account import Account
from tests.support.aws.convert import given
from tests.support.aws.handler import Change, Handler, Made, NotFoundError, Properties
from tests.support.aws.rules import refuse_if
from tests.support.aws.tagging import pairs, removed


class LogGroup(Handler):
    type = "aws:cloudwatch/logGroup:LogGroup"
    required = frozenset({"name"})
    optional = frozenset(
        {"retentionInDays", "kmsKeyId", "logGroupClass", "skipDestroy"}
    )
    updates = frozenset({"retentionInDays", "kmsKeyId", "skipDestroy"})

    def create(self, aws: Account, new: Properties) -> Made:
        logs, name = aws.client("logs"), new["name"]
        arn = aws.arn("logs", f"log-group:{name}")
        if "kmsKeyId" in new:
            log_rules.key_serves_logs(aws, new["kmsKeyId"], arn)
        logs.create_log_group(
            logGroupName=name,
            tags=new["tags"],
            **given(
                kmsKeyId=new.get("kmsKeyId"), logGroupClass=new.get("logGroupClass")
            ),
        )
        self._retention(aws, new)
        return Made(name, {"arn": arn})

    def _retention(self, aws: Account, new: Properties) -> None:
        if days := new.get("retentionInDays"):
            aws.client("logs").put_retention_policy(
                logGroupName=new["name"], retentionInDays=days
            )

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        logs, arn = aws.client("logs"), change.state["arn"]
        if gone := removed(change):
            logs.untag_resource(resourceArn=arn, tagKeys=gone)
        logs.tag_resource(resourceArn=arn, tags=change.new["tags"])
        if change.of("retentionInDays"):
            self._retention(aws, change.new)
        if change.of("kmsKeyId"):
            log_rules.key_serves_logs(aws, change.new["kmsKeyId"], arn)
            logs.associate_kms_key(
                logGroupName=identifier, kmsKeyId=change.new["kmsKeyId"]
            )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        found = aws.client("logs").describe_log_groups(logGroupNamePrefix=identifier)
        for group in found["logGroups"]:
            if group["logGroupName"] == identifier:
                return group
        raise NotFoundError(identifier)

    def live(self, found: Any, inputs: Properties) -> Properties:
        kept = {k: v for k, v in inputs.items() if k != "retentionInDays"}
        return kept | given(retentionInDays=found.get("retentionInDays"))

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        log_rules.cluster_writes_no_more(aws, identifier)
        if not state.get("skipDestroy"):
            aws.client("logs").delete_log_group(logGroupName=identifier)


class EventRule(Handler):
    type = "aws:cloudwatch/eventRule:EventRule"
    required = frozenset({"name", "eventPattern"})
    optional = frozenset({"description", "state", "eventBusName"})
    updates = frozenset({"eventPattern", "description", "state"})

    def _put(self, aws: Account, new: Properties) -> str:
        json.loads(new["eventPattern"])
        arn: str = aws.client("events").put_rule(
            Name=new["name"],
            EventPattern=new["eventPattern"],
            **given(
                Description=new.get("description"),
                State=new.get("state"),
                EventBusName=new.get("eventBusName"),
            ),
        )["RuleArn"]
        return arn

    def create(self, aws: Account, new: Properties) -> Made:
        arn = self._put(aws, new)
        events = aws.client("events")
        events.tag_resource(ResourceARN=arn, Tags=pairs(new["tags"]))
        return Made(new["name"], {"arn": arn})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        arn, events = self._put(aws, change.new), aws.client("events")
        if gone := removed(change):
            events.untag_resource(ResourceARN=arn, TagKeys=gone)
        events.tag_resource(ResourceARN=arn, Tags=pairs(change.new["tags"]))
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("events").describe_rule(Name=identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        events = aws.client("events")
        targets = events.list_targets_by_rule(Rule=identifier)["Targets"]
        refuse_if(targets, f"ValidationException: {identifier} still has targets")
        events.delete_rule(Name=identifier)


class EventTarget(Handler):
    type = "aws:cloudwatch/eventTarget:EventTarget"
    required = frozenset({"rule", "arn", "targetId"})
    optional = frozenset({"eventBusName"})
    updates = frozenset({"arn"})
    taggable = False

    def _put(self, aws: Account, new: Properties) -> None:
        answer = aws.client("events").put_targets(
            Rule=new["rule"], Targets=[{"Id": new["targetId"], "Arn": new["arn"]}]
        )
        refuse_if(answer["FailedEntryCount"], str(answer["FailedEntries"]))

    def create(self, aws: Account, new: Properties) -> Made:
        self._put(aws, new)
        return Made(f"{new['rule']}-{new['targetId']}")

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        self._put(aws, change.new)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        targets = aws.client("events").list_targets_by_rule(Rule=state["rule"])
        for found in targets["Targets"]:
            if found["Id"] == state["targetId"]:
                return found
        raise NotFoundError(identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        answer = aws.client("events").remove_targets(
            Rule=state["rule"], Ids=[state["targetId"]]
        )
        refuse_if(answer["FailedEntryCount"], str(answer["FailedEntries"]))
