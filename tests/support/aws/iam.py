"""Roles, their policies, and instance profiles."""

from __future__ import annotations

import json
from typing import Any

from tests.support.aws import eks_rules
from tests.support.aws.account import Account
from tests.support.aws.convert import given
from tests.support.aws.handler import (
    Change,
    Handler,
    Made,
    NotFoundError,
    Properties,
    SettingHandler,
)
from tests.support.aws.tagging import pairs, removed


class Role(Handler):
    type = "aws:iam/role:Role"
    required = frozenset({"name", "assumeRolePolicy"})
    optional = frozenset(
        {
            "description",
            "path",
            "maxSessionDuration",
            "permissionsBoundary",
            "forceDetachPolicies",
        }
    )
    updates = frozenset(
        {
            "assumeRolePolicy",
            "description",
            "forceDetachPolicies",
            "maxSessionDuration",
            "permissionsBoundary",
        }
    )

    def create(self, aws: Account, new: Properties) -> Made:
        role = aws.client("iam").create_role(
            RoleName=new["name"],
            AssumeRolePolicyDocument=new["assumeRolePolicy"],
            Tags=pairs(new["tags"]),
            **given(
                Path=new.get("path"),
                Description=new.get("description"),
                MaxSessionDuration=new.get("maxSessionDuration"),
                PermissionsBoundary=new.get("permissionsBoundary"),
            ),
        )["Role"]
        return Made(new["name"], {"arn": role["Arn"], "uniqueId": role["RoleId"]})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        iam = aws.client("iam")
        if gone := removed(change):
            iam.untag_role(RoleName=identifier, TagKeys=gone)
        iam.tag_role(RoleName=identifier, Tags=pairs(change.new["tags"]))
        if change.of("assumeRolePolicy"):
            iam.update_assume_role_policy(
                RoleName=identifier, PolicyDocument=change.new["assumeRolePolicy"]
            )
        if change.of("description", "maxSessionDuration"):
            iam.update_role(
                RoleName=identifier,
                Description=change.new.get("description", ""),
                MaxSessionDuration=change.new.get("maxSessionDuration", 3600),
            )
        if change.of("permissionsBoundary"):
            self._bound(iam, identifier, change.new.get("permissionsBoundary"))
        return {}

    def _bound(self, iam: Any, name: str, boundary: str | None) -> None:
        if boundary:
            iam.put_role_permissions_boundary(
                RoleName=name, PermissionsBoundary=boundary
            )
        else:
            iam.delete_role_permissions_boundary(RoleName=name)

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("iam").get_role(RoleName=identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        eks_rules.role_is_unused(aws, state["arn"])
        aws.client("iam").delete_role(RoleName=identifier)


class RolePolicy(SettingHandler):
    type = "aws:iam/rolePolicy:RolePolicy"
    required = frozenset({"name", "role", "policy"})
    updates = frozenset({"policy"})

    def put(self, aws: Account, new: Properties) -> str:
        json.loads(new["policy"])
        aws.client("iam").put_role_policy(
            RoleName=new["role"],
            PolicyName=new["name"],
            PolicyDocument=new["policy"],
        )
        return f"{new['role']}:{new['name']}"

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("iam").get_role_policy(
            RoleName=state["role"], PolicyName=state["name"]
        )

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("iam").delete_role_policy(
            RoleName=state["role"], PolicyName=state["name"]
        )


class RolePolicyAttachment(Handler):
    type = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    required = frozenset({"role", "policyArn"})
    taggable = False

    def create(self, aws: Account, new: Properties) -> Made:
        iam = aws.client("iam")
        iam.get_policy(PolicyArn=new["policyArn"])
        iam.attach_role_policy(RoleName=new["role"], PolicyArn=new["policyArn"])
        return Made(f"{new['role']}/{new['policyArn']}")

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        attached = aws.client("iam").list_attached_role_policies(RoleName=state["role"])
        for policy in attached["AttachedPolicies"]:
            if policy["PolicyArn"] == state["policyArn"]:
                return policy
        raise NotFoundError(identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        iam = aws.client("iam")
        role = iam.get_role(RoleName=state["role"])["Role"]["Arn"]
        eks_rules.role_is_unused(aws, role)
        iam.detach_role_policy(RoleName=state["role"], PolicyArn=state["policyArn"])


class InstanceProfile(Handler):
    type = "aws:iam/instanceProfile:InstanceProfile"
    required = frozenset({"name", "role"})
    optional = frozenset({"path"})
    updates = frozenset({"role"})

    def create(self, aws: Account, new: Properties) -> Made:
        iam = aws.client("iam")
        made = iam.create_instance_profile(
            InstanceProfileName=new["name"],
            Tags=pairs(new["tags"]),
            **given(Path=new.get("path")),
        )["InstanceProfile"]
        iam.add_role_to_instance_profile(
            InstanceProfileName=new["name"], RoleName=new["role"]
        )
        return Made(new["name"], {"arn": made["Arn"]})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        iam = aws.client("iam")
        if gone := removed(change):
            iam.untag_instance_profile(InstanceProfileName=identifier, TagKeys=gone)
        iam.tag_instance_profile(
            InstanceProfileName=identifier, Tags=pairs(change.new["tags"])
        )
        if change.of("role"):
            iam.remove_role_from_instance_profile(
                InstanceProfileName=identifier, RoleName=change.old["role"]
            )
            iam.add_role_to_instance_profile(
                InstanceProfileName=identifier, RoleName=change.new["role"]
            )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("iam").get_instance_profile(InstanceProfileName=identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        iam = aws.client("iam")
        iam.remove_role_from_instance_profile(
            InstanceProfileName=identifier, RoleName=state["role"]
        )
        iam.delete_instance_profile(InstanceProfileName=identifier)
