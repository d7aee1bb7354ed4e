"""The pipelines to copy: sound by their hosts' schemas, and their report job works."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain import paths

GITHUB = paths.ROOT / "ci" / "github" / "slipway.yml"
NIGHTLY = paths.ROOT / "ci" / "github" / "drift.yml"
OWN = paths.ROOT / ".github" / "workflows" / "ci.yml"
GITLAB = paths.ROOT / "ci" / "gitlab" / "slipway.yml"
NIGHTLY_GITLAB = paths.ROOT / "ci" / "gitlab" / "drift.yml"
PROGRAMS = Path(sys.executable).parent
STACK = "Pulumi.models.lab.yaml"


def run(*command: str | Path, folder: Path = paths.ROOT, **variables: str) -> str:
    """Its output; AssertionError with it if the command fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def jobs(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())["jobs"]
    return found


def of_gitlab(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def test_no_finding_of_an_audit_of_workflows() -> None:
    said = run(PROGRAMS / "zizmor", "--offline", "--no-progress", GITHUB, OWN, NIGHTLY)
    assert "No findings to report" in said


@pytest.mark.parametrize(
    ("file", "schema", "more"),
    [
        (GITHUB, "vendor.github-workflows", ()),
        (OWN, "vendor.github-workflows", ()),
        (NIGHTLY, "vendor.github-workflows", ()),
        (GITLAB, "vendor.gitlab-ci", ("--data-transform", "gitlab-ci")),
        (NIGHTLY_GITLAB, "vendor.gitlab-ci", ("--data-transform", "gitlab-ci")),
    ],
)
def test_the_schema_of_the_host_accepts_it(
    file: Path, schema: str, more: tuple[str, ...]
) -> None:
    run(PROGRAMS / "check-jsonschema", "--builtin-schema", schema, *more, file)


@pytest.mark.parametrize("file", [GITHUB, OWN, NIGHTLY])
def test_actions_are_pinned_by_commit_and_rights_are_named(file: Path) -> None:
    assert yaml.safe_load(file.read_text())["permissions"] == {}
    for job in jobs(file).values():
        assert "permissions" in job
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            if uses := step.get("uses"):
                assert len(uses.partition("@")[2]) == 40, uses


def test_what_runs_a_strangers_code_cannot_write() -> None:
    """A fork's pull request reaches the report alone."""
    found = jobs(GITHUB)
    assert found["report"]["permissions"] == {"contents": "read"}
    ours = "github.event.pull_request.head.repo.full_name == github.repository"
    for name in set(found) - {"report"}:
        assert found[name]["if"] == ours
    writer = found["comment"]
    assert writer["permissions"] == {"contents": "read", "pull-requests": "write"}
    base, report, comment = writer["steps"]
    assert base["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "run" not in base | report
    assert comment["working-directory"] == base["with"]["path"]
    assert comment["run"] == 'python3 -m slipway.preview.comment "$NUMBER" ../report'
    tokens = [name for name, job in found.items() if "github.token" in str(job)]
    assert tokens == ["comment"]
    assert found["preview"]["environment"] == "preview"
    triggers = yaml.safe_load(GITHUB.read_text())[True]  # YAML 1.1 reads `on` so
    assert list(triggers) == ["pull_request"]


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    return run("git", *who, *words, folder=folder).strip()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of this checkout with one stack, whose branch `main` has moved on.

    `change` wants more replicas; `main` has had a longer window of alerts since then.
    `merged` is both, as GitHub checks a pull request out.
    """
    root = tmp_path_factory.mktemp("host") / "origin"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "findings", "tests", "docs")
    shutil.copytree(paths.ROOT, root, ignore=ignore)
    for other in (root / "stacks" / "config").glob("Pulumi.*.yaml"):
        if other.name != STACK:
            other.unlink()
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "--all")
    git(root, "commit", "-q", "-m", "one")
    file = root / "stacks" / "config" / STACK
    for branch, before, after in (
        ("change", "max_replicas: 4", "max_replicas: 5"),
        ("main", "window_seconds: 60", "window_seconds: 90"),
    ):
        git(root, "checkout", "-q", "-B", branch, "main")
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after, 1))
        git(root, "commit", "-q", "-a", "-m", f"{before} is {after}")
    git(root, "checkout", "-q", "-b", "merged")
    git(root, "merge", "-q", "--no-edit", "change")
    return root


def changed_in(report: Path) -> tuple[str, list[str]]:
    """Whose code compared, and the kinds of what changes."""
    found = json.loads((report / "compare.json").read_text())
    items = [item for stack in found["stacks"] for item in stack["items"]]
    assert "maxReplicas" in (report / "compare.md").read_text()
    return found["judge"], [item["type"].rpartition(":")[2] for item in items]


ONE_CHANGE = ("base", ["HorizontalPodAutoscaler"])


def test_the_report_job_shows_what_a_change_does(origin: Path, tmp_path: Path) -> None:
    """Its own commands, but the one that installs."""
    for name, branch in (("base", "main"), ("head", "merged")):
        git(tmp_path, "clone", "-q", "-b", branch, str(origin), name)
    (tmp_path / "base" / ".venv").symlink_to(PROGRAMS.parent)
    summary = tmp_path / "summary.md"
    commands = [step for step in jobs(GITHUB)["report"]["steps"] if "run" in step]
    assert commands[0]["run"] == "make environment"
    for step in commands[1:]:
        folder = tmp_path / step.get("working-directory", "")
        run("bash", "-ec", step["run"], folder=folder, GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text() == (tmp_path / "report" / "compare.md").read_text()
    assert changed_in(tmp_path / "report") == ONE_CHANGE


INSTALL = "make -C ../base environment"


def gitlabs_job(origin: Path, folder: Path) -> tuple[Path, dict[str, str]]:
    """A runner's checkout of the branch `change`, and the variables of its job."""
    checkout = folder / "project"
    git(folder, "clone", "-q", "-b", "change", str(origin), checkout.name)
    return checkout, {
        "CI_PROJECT_DIR": str(checkout),
        "CI_COMMIT_SHA": git(checkout, "rev-parse", "HEAD"),
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "MERGE": "",
    }


def test_gitlabs_report_job_shows_what_a_merge_would_do(
    origin: Path, tmp_path: Path
) -> None:
    """The target's newest commit judges, and its own changes are none of the report."""
    checkout, variables = gitlabs_job(origin, tmp_path)
    script = of_gitlab(GITLAB)["slipway-report"]["script"]
    link = f"ln -s {PROGRAMS.parent} ../base/.venv"
    assert INSTALL in script
    lines = [link if line == INSTALL else line for line in script]
    said = run("bash", "-ec", "\n".join(lines), folder=checkout, **variables)
    judge = git(tmp_path / "base", "rev-parse", "HEAD")
    assert judge == git(origin, "rev-parse", "main")
    assert changed_in(checkout / "report") == ONE_CHANGE
    assert (checkout / "report" / "compare.md").read_text() in said


def test_gitlabs_report_job_starts_where_an_earlier_one_was_ended(
    origin: Path, tmp_path: Path
) -> None:
    """Runners keep their folders."""
    checkout, variables = gitlabs_job(origin, tmp_path)
    script = of_gitlab(GITLAB)["slipway-report"]["script"]
    before = "\n".join(script[: script.index(INSTALL)])
    for _ in range(2):
        run("bash", "-ec", before, folder=checkout, **variables)
        for name in ("base", "head"):
            assert (tmp_path / name / ".git").is_file()
            (tmp_path / name / "left").touch()


def test_gitlabs_report_job_fails_where_the_merge_has_conflicts(
    origin: Path, tmp_path: Path
) -> None:
    checkout, variables = gitlabs_job(origin, tmp_path)
    file = checkout / "stacks" / "config" / STACK
    text = file.read_text().replace("window_seconds: 60", "window_seconds: 30", 1)
    file.write_text(text)
    git(checkout, "commit", "-q", "-a", "-m", "another window")
    variables["CI_COMMIT_SHA"] = git(checkout, "rev-parse", "HEAD")
    script = of_gitlab(GITLAB)["slipway-report"]["script"]
    before = "\n".join(script[: script.index(INSTALL)])
    with pytest.raises(AssertionError, match=f"Merge conflict in .*{STACK}"):
        run("bash", "-ec", before, folder=checkout, **variables)


STAGES = ["build", "test", "deploy"]
"""GitLab's, where a pipeline names none: https://docs.gitlab.com/ci/yaml/#stages."""


def included(*files: dict[str, Any]) -> dict[str, Any]:
    """As `include` has them: mappings are merged, and of all else the last one counts.

    https://docs.gitlab.com/ci/yaml/includes/#merge-method-for-include
    """
    merged: dict[str, Any] = {}
    for file in files:
        for key, value in file.items():
            before = merged.get(key)
            both = isinstance(before, dict) and isinstance(value, dict)
            merged[key] = included(before or {}, value) if both else value
    return merged


def extended(pipeline: dict[str, Any], name: str) -> dict[str, Any]:
    """The job with what it extends."""
    job = pipeline[name]
    above = job.get("extends")
    return included(extended(pipeline, above), job) if above else job


@pytest.mark.parametrize("own", [{}, {"stages": ["lint", "test", "ship"]}])
@pytest.mark.parametrize("order", [(GITLAB, NIGHTLY_GITLAB), (NIGHTLY_GITLAB, GITLAB)])
def test_gitlabs_files_go_with_each_other_and_with_a_pipeline(
    order: tuple[Path, Path], own: dict[str, Any]
) -> None:
    """What is included and what includes share one list of stages."""
    unit = {"stage": "lint" if own else "build", "script": ["true"]}
    pipeline = included(*map(of_gitlab, order), {**own, "unit": unit})
    stages = [".pre", *pipeline.get("stages", STAGES), ".post"]
    reserved = {"stages", "include", "default", "workflow", "variables"}
    names = {n for n in pipeline if n not in reserved and not n.startswith(".")}
    assert names == {
        *("unit", "slipway-report", "slipway-preview", "slipway-merged"),
        "slipway-drift",
    }
    for name in names:
        job = extended(pipeline, name)
        assert job.get("stage", "test") in stages, name
        for need in job.get("needs", []):
            assert (need["job"] if isinstance(need, dict) else need) in names


def test_gitlabs_jobs_wait_for_each_other_alone() -> None:
    """A pipeline with a job whose `needs` has no rule that holds is refused."""
    pipeline = of_gitlab(GITLAB)
    report, preview, merged = (
        extended(pipeline, f"slipway-{name}")
        for name in ("report", "preview", "merged")
    )
    assert report["needs"] == []
    assert preview["needs"] == [{"job": "slipway-report", "artifacts": False}]
    assert merged["needs"] == ["slipway-preview"]
    (of_report,), (of_preview,) = report["rules"], preview["rules"]
    assert of_report["if"] in of_preview["if"]
    assert merged["rules"] == [{"if": of_preview["if"]}]


@pytest.mark.parametrize("empty", ["PREVIEW_STACKS", "PULUMI_BACKEND_URL"])
def test_a_preview_without_stacks_or_state_fails(empty: str, tmp_path: Path) -> None:
    (step,) = (it for it in jobs(GITHUB)["preview"]["steps"] if it["name"] == "Preview")
    assert set(step["env"]) == {"PREVIEW_STACKS", "PULUMI_BACKEND_URL"}
    line, *_ = yaml.safe_load(GITLAB.read_text())["slipway-preview"]["script"]
    program = tmp_path / ".venv" / "bin" / "slipway"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s," "$@"\n')
    program.chmod(0o755)
    given: dict[str, Any] = {
        "PREVIEW_STACKS": "a.b c.d",
        "PULUMI_BACKEND_URL": "s3://bucket",
    }
    run("bash", "-ec", step["run"], folder=tmp_path, **given)
    written = (tmp_path / "preview.json").read_text()
    assert written == "preview,a.b,c.d,--json,"
    run("bash", "-ec", line, **given)
    lacking: dict[str, Any] = {**given, empty: ""}
    for text in (step["run"], line):
        with pytest.raises(AssertionError, match=empty):
            run("bash", "-ec", text, folder=tmp_path, **lacking)


DRIFT = {"DRIFT_STACKS": "a.b c.d", "PULUMI_BACKEND_URL": "s3://bucket"}


def drift_scripts() -> dict[str, tuple[str, str]]:
    """The lines that compare, and those that show the report, of both hosts."""
    steps = {it["name"]: it.get("run", "") for it in jobs(NIGHTLY)["drift"]["steps"]}
    job = yaml.safe_load(NIGHTLY_GITLAB.read_text())["slipway-drift"]
    first, _, _, compare = job["script"]
    return {
        "github": (steps["Compare"], f"{steps['Show']}\n{steps['Annotate']}"),
        "gitlab": (f"{first}\n{compare}", "\n".join(job["after_script"])),
    }


@pytest.mark.parametrize("host", ["github", "gitlab"])
@pytest.mark.parametrize("status", [0, 1, 2])
def test_the_drift_job_ends_as_the_command_does_and_shows_its_report(
    host: str, status: int, tmp_path: Path
) -> None:
    program = tmp_path / ".venv" / "bin" / "slipway"
    program.parent.mkdir(parents=True)
    program.write_text(
        '#!/bin/sh\nprintf "%s," "$@"; mkdir report; echo found > report/drift.md\n'
        f"echo note > report/drift.github.txt; exit {status}\n"
    )
    program.chmod(0o755)
    compare, show = drift_scripts()[host]
    done = subprocess.run(
        ["bash", "-ec", compare],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", **DRIFT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert done.stdout == "drift,a.b,c.d,--out,report,"
    summary = tmp_path / "summary.md"
    said = run("bash", "-ec", show, folder=tmp_path, GITHUB_STEP_SUMMARY=str(summary))
    shown = summary.read_text() if host == "github" else said
    assert shown == "found\n"


@pytest.mark.parametrize("empty", DRIFT)
@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_a_drift_job_without_stacks_or_state_fails(host: str, empty: str) -> None:
    compare, _ = drift_scripts()[host]
    with pytest.raises(AssertionError, match=empty):
        run("bash", "-ec", compare, **{**DRIFT, empty: ""})  # type: ignore[arg-type]


def test_the_drift_job_reads_only_and_runs_for_no_pull_request() -> None:
    (job,) = jobs(NIGHTLY).values()
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert job["environment"] == "drift"
    triggers = yaml.safe_load(NIGHTLY.read_text())[True]
    assert set(triggers) == {"schedule", "workflow_dispatch"}
    of_gitlab = yaml.safe_load(NIGHTLY_GITLAB.read_text())["slipway-drift"]
    assert of_gitlab["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule"'}]
    of_review = yaml.safe_load(GITLAB.read_text())[".slipway"]
    assert of_gitlab["image"] == of_review["image"]


def test_the_merged_report_is_the_report_with_the_engines_preview() -> None:
    """Base's checkout judges there too, without rights."""
    found = jobs(GITHUB)
    assert found["merged"]["needs"] == "preview"
    assert found["merged"]["permissions"] == {"contents": "read"}
    steps = {step["name"]: step for step in found["merged"]["steps"]}
    fetched = steps["Fetch the preview"]["with"]
    (kept,) = (s for s in found["preview"]["steps"] if s["name"] == "Keep")
    assert fetched["name"] == kept["with"]["name"]
    file = f"../{fetched['path']}/{kept['with']['path']}"
    assert f"compare . ../head --preview {file} " in steps["Compare"]["run"]
    assert steps["Compare"]["working-directory"] == "base"
    gitlab = yaml.safe_load(GITLAB.read_text())
    merged = gitlab["slipway-merged"]
    assert merged["extends"] == "slipway-report"
    assert merged["needs"] == ["slipway-preview"]
    (artifact,) = gitlab["slipway-preview"]["artifacts"]["paths"]
    assert merged["variables"]["MERGE"] == f"--preview $CI_PROJECT_DIR/{artifact}"
    assert any("$MERGE" in line for line in gitlab["slipway-report"]["script"])
