"""What belongs to an EKS cluster: add-ons, access entries, pod identities."""

from __future__ import annotations

import json
from typing import Any

from tests.support.aws import eks_rules
from tests.support.aws.account import Account
from tests.support.aws.convert import given
from tests.support.aws.eks import set_eks_tags
from tests.support.aws.handler import (
    TAGS,
    Change,
    Handler,
    Made,
    NotFoundError,
    Properties,
)
from tests.support.aws.rules import refuse_if
from tests.support.aws.tagging import removed

POD_IDENTITY = "pods.eks.amazonaws.com"
POD_IDENTITY_ACTIONS = {"sts:AssumeRole", "sts:TagSession"}
ACCESS_POLICIES = {
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy",
}
"""https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html"""


class Addon(Handler):
    type = "aws:eks/addon:Addon"
    required = frozenset({"clusterName", "addonName", "addonVersion"})
    optional = frozenset(
        {
            "configurationValues",
            "podIdentityAssociations",
            "preserve",
            "resolveConflictsOnCreate",
            "resolveConflictsOnUpdate",
            "serviceAccountRoleArn",
        }
    )
    updates = optional | {"addonVersion"}

    def _parameters(self, aws: Account, new: Properties) -> dict[str, Any]:
        if "configurationValues" in new:
            json.loads(new["configurationValues"])
        for association in new.get("podIdentityAssociations") or []:
            eks_rules.role_trusts(
                aws, association["roleArn"], POD_IDENTITY, POD_IDENTITY_ACTIONS
            )
        return given(
            clusterName=new["clusterName"],
            addonName=new["addonName"],
            addonVersion=new["addonVersion"],
            configurationValues=new.get("configurationValues"),
            podIdentityAssociations=new.get("podIdentityAssociations"),
            serviceAccountRoleArn=new.get("serviceAccountRoleArn"),
        )

    def create(self, aws: Account, new: Properties) -> Made:
        eks_rules.addon_can_run(aws, new)
        parameters = self._parameters(aws, new)
        made = aws.rest("eks").create_addon(
            **parameters,
            tags=new["tags"],
            **given(resolveConflicts=new.get("resolveConflictsOnCreate")),
        )["addon"]
        identifier = f"{new['clusterName']}:{new['addonName']}"
        return Made(identifier, {"arn": made["addonArn"]})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_eks_tags(aws, change.state["arn"], change)
        if change.of(*self.updates):
            aws.rest("eks").update_addon(
                **self._parameters(aws, change.new),
                **given(resolveConflicts=change.new.get("resolveConflictsOnUpdate")),
            )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.rest("eks").describe_addon(
            clusterName=state["clusterName"], addonName=state["addonName"]
        )

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.rest("eks").delete_addon(
            clusterName=state["clusterName"],
            addonName=state["addonName"],
            preserve=bool(state.get("preserve")),
        )


class AccessEntry(Handler):
    type = "aws:eks/accessEntry:AccessEntry"
    required = frozenset({"clusterName", "principalArn"})
    optional = frozenset({"kubernetesGroups", "type", "userName"})
    updates = frozenset({"kubernetesGroups", "userName"})

    def create(self, aws: Account, new: Properties) -> Made:
        eks_rules.role(aws, new["principalArn"])
        made = aws.rest("eks").create_access_entry(
            clusterName=new["clusterName"],
            principalArn=new["principalArn"],
            tags=new["tags"],
            **given(
                type=new.get("type"),
                kubernetesGroups=new.get("kubernetesGroups"),
                username=new.get("userName"),
            ),
        )["accessEntry"]
        identifier = f"{new['clusterName']}:{new['principalArn']}"
        return Made(identifier, {"accessEntryArn": made["accessEntryArn"]})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_eks_tags(aws, change.state["accessEntryArn"], change)
        if change.of(*self.updates):
            aws.rest("eks").update_access_entry(
                clusterName=change.new["clusterName"],
                principalArn=change.new["principalArn"],
                **given(
                    kubernetesGroups=change.new.get("kubernetesGroups"),
                    username=change.new.get("userName"),
                ),
            )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.rest("eks").describe_access_entry(
            clusterName=state["clusterName"], principalArn=state["principalArn"]
        )

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.rest("eks").delete_access_entry(
            clusterName=state["clusterName"], principalArn=state["principalArn"]
        )


class AccessPolicyAssociation(Handler):
    type = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
    required = frozenset({"clusterName", "principalArn", "policyArn", "accessScope"})
    taggable = False

    def create(self, aws: Account, new: Properties) -> Made:
        prefix, _, name = new["policyArn"].rpartition("/")
        refuse_if(
            prefix != "arn:aws:eks::aws:cluster-access-policy"
            or name not in ACCESS_POLICIES,
            f"InvalidParameterException: no access policy {new['policyArn']}",
        )
        aws.rest("eks").associate_access_policy(
            clusterName=new["clusterName"],
            principalArn=new["principalArn"],
            policyArn=new["policyArn"],
            accessScope=new["accessScope"],
        )
        parts = (new["clusterName"], new["principalArn"], new["policyArn"])
        return Made("#".join(parts))

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        found = aws.rest("eks").list_associated_access_policies(
            clusterName=state["clusterName"], principalArn=state["principalArn"]
        )
        for policy in found["associatedAccessPolicies"]:
            if policy["policyArn"] == state["policyArn"]:
                return policy
        raise NotFoundError(identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.rest("eks").disassociate_access_policy(
            clusterName=state["clusterName"],
            principalArn=state["principalArn"],
            policyArn=state["policyArn"],
        )


class PodIdentityAssociation(Handler):
    type = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
    required = frozenset({"clusterName", "namespace", "serviceAccount", "roleArn"})
    optional = frozenset({"disableSessionTags"})
    updates = frozenset({"roleArn", "disableSessionTags"})

    def create(self, aws: Account, new: Properties) -> Made:
        eks_rules.role_trusts(aws, new["roleArn"], POD_IDENTITY, POD_IDENTITY_ACTIONS)
        made = aws.rest("eks").create_pod_identity_association(
            clusterName=new["clusterName"],
            namespace=new["namespace"],
            serviceAccount=new["serviceAccount"],
            roleArn=new["roleArn"],
            tags=new["tags"],
            **given(disableSessionTags=new.get("disableSessionTags")),
        )["association"]
        told = {
            "associationArn": made["associationArn"],
            "associationId": made["associationId"],
        }
        return Made(made["associationId"], told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        if change.of(TAGS):
            arn = change.state["associationArn"]
            if gone := removed(change):
                aws.unjudged("eks", "UntagResource", resourceArn=arn, tagKeys=gone)
            tags = change.new[TAGS]
            aws.unjudged("eks", "TagResource", resourceArn=arn, tags=tags)
        if change.of(*self.updates):
            eks_rules.role_trusts(
                aws, change.new["roleArn"], POD_IDENTITY, POD_IDENTITY_ACTIONS
            )
            aws.rest("eks").update_pod_identity_association(
                clusterName=change.new["clusterName"],
                associationId=identifier,
                roleArn=change.new["roleArn"],
                **given(disableSessionTags=change.new.get("disableSessionTags")),
            )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.rest("eks").describe_pod_identity_association(
            clusterName=state["clusterName"], associationId=identifier
        )

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.rest("eks").delete_pod_identity_association(
            clusterName=state["clusterName"], associationId=identifier
        )
