#!/usr/bin/env bash
# moto: an EMR Serverless application loses five of its settings without a word.
#
# Guess: what CreateApplication accepts, GetApplication gives back, so that a test against
# the emulator notices a wrong architecture, image or log bucket.
# Behaviour: moto accepts architecture, imageConfiguration, monitoringConfiguration,
# runtimeConfiguration and interactiveConfiguration (boto3 checks their shapes) and drops
# them: GetApplication has none of these keys, though the API's own answer has them
# (AWS documents the default X86_64 for an architecture that was not given). Capacity,
# auto stop and network are kept. A new application is STARTED at once (the API's own
# states begin with CREATING and CREATED), so DeleteApplication refuses it until it was
# stopped; a job run is SUCCESS in the next call, whatever its entry point.
# Versions: moto 5.2.5, boto3 1.43.1, Python 3.11. Seen 2026-12-01:
#   kept: autoStopConfiguration maximumCapacity networkConfiguration
#   dropped: architecture imageConfiguration interactiveConfiguration
#     monitoringConfiguration runtimeConfiguration
#   a new application: STARTED; its deletion: ValidationException; a new run: SUCCESS
# What follows: a test that creates an application against moto proves that the request is
# well formed. These settings are compared in what is rendered (tests/golden).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "moto[emrserverless]==5.2.5" boto3==1.43.1
cat >"$folder/ask.py" <<'PY'
import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

REPOSITORY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/spark"
GIVEN = {
    "architecture": "ARM64",
    "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 5},
    "imageConfiguration": {"imageUri": f"{REPOSITORY}@sha256:{'0' * 64}"},
    "interactiveConfiguration": {"studioEnabled": True},
    "maximumCapacity": {"cpu": "16 vCPU", "memory": "64 GB", "disk": "200 GB"},
    "monitoringConfiguration": {
        "s3MonitoringConfiguration": {"logUri": "s3://example-logs/"}
    },
    "networkConfiguration": {
        "subnetIds": ["subnet-1"],
        "securityGroupIds": ["sg-1"],
    },
    "runtimeConfiguration": [
        {"classification": "spark-defaults", "properties": {"spark.cores.max": "4"}}
    ],
}
with mock_aws():
    emr = boto3.client(
        "emr-serverless",
        region_name="eu-central-1",
        aws_access_key_id="example",
        aws_secret_access_key="example",
    )
    name = emr.create_application(
        name="example", releaseLabel="emr-7.13.0", type="SPARK", **GIVEN
    )["applicationId"]
    found = emr.get_application(applicationId=name)["application"]
    print("kept:", *(key for key in GIVEN if found.get(key) == GIVEN[key]))
    print("dropped:", *(key for key in GIVEN if key not in found))
    print("a new application:", found["state"])
    try:
        emr.delete_application(applicationId=name)
        print("its deletion: done")
    except ClientError as error:
        print("its deletion:", error.response["Error"]["Code"])
    run = emr.start_job_run(
        applicationId=name,
        executionRoleArn="arn:aws:iam::123456789012:role/example",
        jobDriver={"sparkSubmit": {"entryPoint": "s3://example/nothing.py"}},
    )["jobRunId"]
    state = emr.get_job_run(applicationId=name, jobRunId=run)["jobRun"]["state"]
    print("a new run:", state)
PY
"$folder/venv/bin/python" "$folder/ask.py" | tee "$folder/said"
diff "$folder/said" - <<'SEEN'
kept: autoStopConfiguration maximumCapacity networkConfiguration
dropped: architecture imageConfiguration interactiveConfiguration monitoringConfiguration runtimeConfiguration
a new application: STARTED
its deletion: ValidationException
a new run: SUCCESS
SEEN
