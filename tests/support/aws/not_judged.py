"""What the emulators cannot judge: here a test passes that AWS might refuse."""

from __future__ import annotations

CALLS = {
    "eks:TagResource": "of pod identities: ministack does not know their ARNs",
    "eks:UntagResource": "the same",
    "eks:UpdateClusterVersion": "neither emulator has it",
    "eks:UpdateNodegroupVersion": "neither emulator has it",
    "emr-serverless:TagResource": "moto has tags of an application from its making on",
    "emr-serverless:UntagResource": "the same",
}
"""Calls that reach no emulator and are only held against botocore's model."""

FORGOTTEN = {
    "eks:CreateCluster": (
        "bootstrapSelfManagedAddons",
        "deletionProtection",
        "upgradePolicy",
        "zonalShiftConfig",
    ),
    "eks:CreateNodegroup": ("nodeRepairConfig", "updateConfig"),
    "emr-serverless:CreateApplication": (
        "architecture",
        "imageConfiguration",
        "monitoringConfiguration",
    ),
}
"""Parameters that emulators take and forget: tests look at what was sent."""

BLIND = {
    "ec2:CreateLaunchTemplate": "data is kept as given: no image, no reservation, no "
    "count of network cards is looked at before an instance starts, in AWS too",
    "ec2:CreateVpcEndpoint": "whether the region has the service",
    "ec2:CreateFlowLogs": "whether the bucket's policy lets the service write",
    "eks:CreateAddon": "whether the version exists, and what its schema makes of the "
    "configuration",
    "eks:CreateNodegroup": "whether the release exists, and whether its nodes join",
    "emr-serverless:StartJobRun": "nothing is run: each run has succeeded at once",
    "iam:CreateRole": "what a policy allows: every caller may do everything",
    "kms:CreateKey": "whether a key's policy lets its users in, but for the logs'",
    "s3:PutBucketPolicy": "what it denies; only the access log's target is looked at",
    "sqs:SetQueueAttributes": "whether EventBridge may write to the queue",
    "servicequotas": "no quota is ever reached, and nothing is ever out of capacity",
}
"""Calls whose meaning is not looked at, beyond their form."""
