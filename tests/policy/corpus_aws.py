"""For each rule an object that keeps it and one that does not: AWS, and stacks."""

from __future__ import annotations

from typing import Any

from tests.policy.corpus import Case, Object, changed

TAGS = {"tags": {"slipway.dev/cluster": "example"}}
RULE = {"status": "Enabled", "expiration": {"days": 30}}
BLOCKED = {
    "blockPublicAcls": True,
    "blockPublicPolicy": True,
    "ignorePublicAcls": True,
    "restrictPublicBuckets": True,
}


def resource(kind: str, **inputs: Any) -> Object:
    return {
        "kind": kind,
        "name": "example",
        "inputs": {**TAGS, **inputs},
        "protect": True,
        "policies": [],
    }


def statement(**change: Any) -> Object:
    return {
        "sid": "Read",
        "effect": "Allow",
        "inverted": False,
        "actions": ["s3:GetObject"],
        "resources": ["arn:aws:s3:::bucket/*"],
        "principals": [],
        "condition_keys": [],
        **change,
    }


def with_statement(document_kind: str = "identity", **change: Any) -> Object:
    """A resource with a policy document of one statement."""
    document = {
        "field": "policy",
        "kind": document_kind,
        "statements": [statement(**change)],
    }
    return {**resource(ROLE_POLICY), "policies": [document]}


def inputs_case(rule: str, kind: str, good: Object, bad: Object) -> Case:
    base = resource(kind, **good)
    return Case(rule, base, changed(base, {"inputs": bad}))


def bucket_case(rule: str, kind: str, good: Object, bad: Object | None = None) -> Case:
    """A bucket by what belongs to it."""
    related = {kind: [bad]} if bad is not None else {}
    return Case(
        rule,
        resource(BUCKET),
        resource(BUCKET),
        good_related={kind: [good]},
        bad_related=related,
    )


BUCKET = "aws:s3/bucket:Bucket"
KEY = "aws:kms/key:Key"
REPOSITORY = "aws:ecr/repository:Repository"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
CLUSTER = "aws:eks/cluster:Cluster"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
DEFAULT_GROUP = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
TLS = statement(
    effect="Deny",
    actions=["s3:*"],
    principals=["*"],
    condition_keys=["aws:SecureTransport"],
)
DISK = {"deviceName": "/dev/xvda", "ebs": {"encrypted": "true"}}
TOKENS = {"httpTokens": "required", "httpPutResponseHopLimit": 1}
STORES = [
    bucket_case(
        "aws-buckets-are-encrypted", "BucketServerSideEncryptionConfiguration", {}
    ),
    bucket_case(
        "aws-buckets-keep-versions",
        "BucketVersioning",
        {"versioningConfiguration": {"status": "Enabled"}},
        {"versioningConfiguration": {"status": "Suspended"}},
    ),
    bucket_case(
        "aws-buckets-are-private",
        "BucketPublicAccessBlock",
        BLOCKED,
        {**BLOCKED, "blockPublicPolicy": False},
    ),
    bucket_case(
        "aws-buckets-want-tls",
        "BucketPolicy",
        {"policies": [{"statements": [statement(), TLS]}]},
        {"policies": [{"statements": [statement()]}]},
    ),
    bucket_case(
        "aws-buckets-forget",
        "BucketLifecycleConfiguration",
        {"rules": [RULE]},
        {"rules": [{**RULE, "status": "Disabled"}]},
    ),
    inputs_case("aws-buckets-are-not-emptied", BUCKET, {}, {"forceDestroy": True}),
    Case(
        "aws-stores-are-protected",
        resource(BUCKET),
        {**resource(BUCKET), "protect": False},
    ),
    inputs_case(
        "aws-keys-rotate",
        KEY,
        {"enableKeyRotation": True},
        {"enableKeyRotation": False},
    ),
    inputs_case("aws-keys-can-be-saved", KEY, {}, {"deletionWindowInDays": 7}),
    inputs_case(
        "aws-images-are-immutable",
        REPOSITORY,
        {"imageTagMutability": "IMMUTABLE"},
        {"imageTagMutability": None},
    ),
    inputs_case(
        "aws-images-are-scanned",
        REPOSITORY,
        {"imageScanningConfiguration": {"scanOnPush": True}},
        {"imageScanningConfiguration": None},
    ),
    inputs_case(
        "aws-images-are-encrypted",
        REPOSITORY,
        {"encryptionConfigurations": [{"encryptionType": "KMS"}]},
        {"encryptionConfigurations": [{"encryptionType": "AES256"}]},
    ),
    inputs_case(
        "aws-logs-end", LOGS, {"retentionInDays": 30}, {"retentionInDays": None}
    ),
    inputs_case(
        "aws-logs-last", LOGS, {"retentionInDays": 90}, {"retentionInDays": 30}
    ),
    inputs_case("aws-logs-are-encrypted", LOGS, {"kmsKeyId": "k"}, {"kmsKeyId": None}),
    inputs_case(
        "aws-queues-are-encrypted",
        "aws:sqs/queue:Queue",
        {"sqsManagedSseEnabled": True},
        {"sqsManagedSseEnabled": False},
    ),
]
PLACES = [
    inputs_case(
        "aws-cluster-encrypts-secrets",
        CLUSTER,
        {"encryptionConfig": {"resources": ["secrets"]}},
        {"encryptionConfig": None},
    ),
    inputs_case(
        "aws-cluster-logs",
        CLUSTER,
        {"enabledClusterLogTypes": ["audit", "authenticator"]},
        {"enabledClusterLogTypes": ["api"]},
    ),
    inputs_case(
        "aws-cluster-is-not-open",
        CLUSTER,
        {"vpcConfig": {"publicAccessCidrs": ["203.0.113.0/24", "198.18.0.0/16"]}},
        {"vpcConfig": {"publicAccessCidrs": None}},
    ),
    inputs_case(
        "aws-cluster-is-not-open",
        CLUSTER,
        {"vpcConfig": {"endpointPublicAccess": False}},
        {
            "vpcConfig": {
                "endpointPublicAccess": True,
                "publicAccessCidrs": ["1.0.0.0/8"],
            }
        },
    ),
    inputs_case(
        "aws-cluster-cannot-be-deleted",
        CLUSTER,
        {"deletionProtection": True},
        {"deletionProtection": False},
    ),
    inputs_case(
        "aws-ports-are-not-open",
        INGRESS,
        {"cidrIpv4": "10.0.0.0/16"},
        {"cidrIpv6": "::/0"},
    ),
    inputs_case(
        "aws-default-group-is-closed",
        DEFAULT_GROUP,
        {"ingress": [], "egress": []},
        {"egress": [{"protocol": "-1"}]},
    ),
    Case(
        "aws-network-is-recorded",
        resource("aws:ec2/vpc:Vpc"),
        resource("aws:ec2/vpc:Vpc"),
        good_related={"FlowLog": [{}]},
    ),
    inputs_case(
        "aws-instances-want-tokens",
        TEMPLATE,
        {"metadataOptions": TOKENS},
        {"metadataOptions": {"httpPutResponseHopLimit": 2}},
    ),
    inputs_case(
        "aws-disks-are-encrypted",
        TEMPLATE,
        {"blockDeviceMappings": [DISK]},
        {"blockDeviceMappings": [changed(DISK, {"ebs": {"encrypted": "false"}})]},
    ),
    inputs_case("aws-resources-have-tags", BUCKET, {}, {"tags": None}),
]
CHANGE = {"actions": ["ec2:DeleteVolume"]}
IAM = [
    Case(
        "iam-actions-are-named",
        with_statement(),
        with_statement(actions=["s3:Get*"]),
    ),
    Case("iam-actions-are-named", with_statement(), with_statement(inverted=True)),
    Case(
        "iam-principals-are-named",
        with_statement(
            "resource", principals=["*"], condition_keys=["aws:PrincipalOrgID"]
        ),
        with_statement("resource", principals=["*"]),
    ),
    Case(
        "iam-services-act-for-one-account",
        with_statement(
            "trust",
            principals=["pods.eks.amazonaws.com"],
            condition_keys=["aws:SourceAccount"],
        ),
        with_statement("trust", principals=["pods.eks.amazonaws.com"]),
    ),
    Case(
        "iam-changes-name-their-resources",
        with_statement(actions=["ec2:DescribeVolumes"], resources=["*"]),
        with_statement(**CHANGE, resources=["*"]),
    ),
    Case(
        "iam-unnamed-resources-have-conditions",
        with_statement(
            **CHANGE,
            resources=["arn:aws:ec2:us-east-1:1:volume/*"],
            condition_keys=["aws:ResourceTag/slipway.dev/cluster"],
        ),
        with_statement(**CHANGE, resources=["arn:aws:ec2:us-east-1:1:volume/*"]),
    ),
    inputs_case(
        "iam-few-policies-of-aws",
        ATTACHMENT,
        {"policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"},
        {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
]


def stack(**change: Any) -> Object:
    return {
        "kind": "Stack",
        "name": "cluster.example",
        "layer": "cluster",
        "settings": {"account": {"region": "us-east-1"}},
        "gpus_ceiling": 16,
        "dollars_per_month_ceiling": 9000,
        **change,
    }


STACKS = [
    Case(
        "regions-are-allowed",
        stack(),
        stack(settings={"account": {"region": "ap-south-1"}}),
    ),
    Case("gpus-have-a-ceiling", stack(), stack(gpus_ceiling=17)),
    Case("dollars-have-a-ceiling", stack(), stack(dollars_per_month_ceiling=10001)),
]
OTHERS = [*STORES, *PLACES, *IAM, *STACKS]
