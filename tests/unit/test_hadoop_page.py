"""What docs/how-to/hadoop.md shows is taken, and does what the page says."""

from __future__ import annotations

import re
from typing import Any

import yaml

from components.settings import parse
from components.training import emr_fields, hdfs, hdfs_settings
from components.training.settings import JobsSettings
from slipway.rendering.render import Rendered, render
from tests.support.rendered import IMAGES
from toolchain import paths

PAGE = (paths.ROOT / "docs" / "how-to" / "hadoop.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)


def config(block: Any) -> dict[str, Any]:
    return {key.removeprefix("slipway:"): value for key, value in block.items()}


def emr() -> dict[str, Any]:
    whole, *_ = map(yaml.safe_load, BLOCKS)
    return config(whole["config"])


def with_hdfs() -> Rendered:
    *_, part = map(yaml.safe_load, BLOCKS)
    chosen = {"cluster": {"kubeconfig": "ambient"}, **config(part)}
    return render("jobs.mine", config=chosen, images=IMAGES)


def test_emr_serverless_needs_no_cluster() -> None:
    made = render("jobs.emr", config=emr(), images=IMAGES)
    assert made.manifests == []
    kinds = {one["type"].rpartition(":")[2] for one in made.cloud}
    assert kinds >= {"Application", "Bucket", "Key", "Role", "RolePolicy"}


def test_the_architecture_shown_is_what_is_taken_without_one() -> None:
    shown = emr()
    del shown["emr"]["architecture"]
    chosen = parse(JobsSettings, shown, "the page")
    assert chosen.emr
    assert chosen.emr.architecture == emr()["emr"]["architecture"]


def test_a_job_reaches_the_hdfs_shown() -> None:
    made = {(it["kind"], it["metadata"]["name"]): it for it in with_hdfs().manifests}
    properties = made["ConfigMap", "counts"]["data"]["spark.properties"]
    assert "spark.hadoop.fs.defaultFS=hdfs://namenode.example:8020\n" in properties
    for name in ("counts", "counts-executor"):
        opened = made["NetworkPolicy", name]["spec"]["egress"]
        ports = [{port["port"] for port in rule.get("ports", ())} for rule in opened]
        assert {8020, 9866} in ports
    (template,) = [it for (kind, _), it in made.items() if kind == "CronJob"]
    pod = template["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (driver,) = pod["containers"]
    user = {"name": "HADOOP_USER_NAME", "value": "analytics"}
    assert user in driver["env"]


def test_the_hdfs_shown_is_made_with_the_job_that_uses_it() -> None:
    _, shown, _ = map(yaml.safe_load, BLOCKS)
    made = render("jobs.files", config=config(shown["config"]), images=IMAGES)
    sets = {it["metadata"]["name"] for it in made.manifests if "Set" in it["kind"]}
    assert sets == {"hdfs-namenode", "hdfs-datanode"}
    text = yaml.safe_dump(made.manifests)
    address = re.findall(r'Client\("(hdfs://[^"]+)"\)', PAGE)
    assert address == ["hdfs://hdfs-namenode.models.svc:8020"]
    assert address[0] in text
    share = re.search(r"at ([0-9]+) % of `size_gib`", PAGE)
    assert share
    assert int(share[1]) == hdfs_settings.CAPACITY_PERCENT


def test_the_ports_that_are_told_are_open() -> None:
    names, pages = hdfs.NameNode.ports, hdfs.NameNode.pages_port
    told = f"{names[0]} of\n`hdfs-namenode`, " + " and ".join(
        str(port) for port in hdfs.DataNodes.ports
    )
    assert told in PAGE
    assert f"hdfs-namenode-0 {pages}" in PAGE


def test_defaults_that_are_told_are_those_of_the_settings() -> None:
    assert emr_fields.EmrLogs().protect
    assert "It refuses while `logs.protect` is true." in " ".join(PAGE.split())
