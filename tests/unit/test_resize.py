"""`slipway resize`: one replica after the other, and what it refuses at first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from click.testing import CliRunner, Result

from components.serving.args.parts import parts
from components.serving.models_settings import ModelsSettings
from slipway import stack_settings
from slipway.bench import sizing
from slipway.bench.sizing import Finding
from slipway.cli import cli
from slipway.engine import stack_api
from slipway.resize import command, plan, replica
from slipway.resize.replica import ResizeError, Watch
from tests.support import resizable
from tests.support.fake_cluster import Clock
from tests.support.rendered import reference
from tests.support.resizable import (
    NAMESPACE,
    SERVER,
    ResizableCluster,
    change,
    settings,
    stack_settings_of,
)

NAMES = [f"{SERVER}-7d9f-{letter * 5}" for letter in "abc"]
NEW = {"cpu_request_millicores": 140, "memory_limit_mib": 512}
PATCH = {"requests": {"cpu": "140m"}, "limits": {"memory": "512Mi"}}


@pytest.fixture
def cluster() -> ResizableCluster:
    pods = {name: resizable.pod(name) for name in NAMES}
    return ResizableCluster(pods, deployment=resizable.deployment(3))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()

    def sleep(seconds: float) -> None:
        found.now += seconds

    def watch(seconds: float) -> Watch:
        return Watch(seconds, lambda: found.now, sleep)

    monkeypatch.setattr(command, "Watch", watch)
    return found


@pytest.fixture
def stack(
    monkeypatch: pytest.MonkeyPatch, cluster: ResizableCluster
) -> Callable[..., None]:
    def use(found: ModelsSettings) -> None:
        monkeypatch.setattr(stack_settings, "load", lambda *_: found)
        monkeypatch.setattr(stack_api, "of_stack", lambda _: cluster.api)

    use(settings())
    return use


def run(*words: object) -> Result:
    given = ["resize", SERVER, "--yes", *map(str, words)]
    return CliRunner().invoke(cli, given)


def of_words(**sizes: int) -> list[str]:
    return [f"--set={name}={value}" for name, value in sizes.items()]


def test_replicas_are_resized_one_after_the_other(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    done = run(*of_words(**NEW))
    assert done.exit_code == 0, done.output
    assert [name for name, _ in cluster.patches] == NAMES
    for _, content in cluster.patches:
        assert content == {
            "spec": {"containers": [{"name": "server", "resources": PATCH}]}
        }
    for name in NAMES:
        assert cluster.size(name)["requests"]["cpu"] == "140m"
        assert cluster.size(name)["limits"] == {
            **resizable.SIZES["limits"],
            "memory": "512Mi",
        }
    # The next one is asked only when the one before has its size.
    verbs = [
        (verb, path.split("/")[6])
        for verb, path in cluster.calls
        if path.startswith(f"{resizable.PODS}/")
    ]
    changes = [place for place, it in enumerate(verbs) if it[0] == "PATCH"]
    for first, second, name in zip(changes, changes[1:], NAMES, strict=False):
        assert set(verbs[first:second]) == {("PATCH", name), ("GET", name)}
    assert f"{NAMES[2]} has its new size (3 of 3)" in done.output


def test_the_lines_for_the_stack_file_are_those_of_the_replicas(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    done = run(*of_words(**NEW))
    said = yaml.safe_load(done.stdout.partition("one by one:\n")[2])
    assert said == {
        SERVER: {
            "resources": {
                "cpu_request_millicores": 140,
                "cpu_limit_millicores": 500,
                "memory_request_mib": 128,
                "memory_limit_mib": 512,
            }
        }
    }


def test_sizes_are_those_that_sizing_recommends(
    monkeypatch: pytest.MonkeyPatch,
    cluster: ResizableCluster,
    clock: Clock,
    stack: object,
) -> None:
    found = [
        Finding(SERVER, "cpu_request_millicores", 100, 131.0, 140, "raise it"),
        Finding(SERVER, "memory_request_mib", 128, 100.0, 128, "fits"),
        Finding(SERVER, "memory_limit_mib", 384, None, None, "no data"),
        Finding("other", "memory_limit_mib", 384, 500.0, 752, "raise it"),
    ]
    asked: list[tuple[object, ...]] = []

    def of_stack(*words: object) -> list[Finding]:
        asked.append(words)
        return found

    monkeypatch.setattr(sizing, "of_stack", of_stack)
    done = run("--prometheus", "http://prometheus", "--hours", 24)
    assert done.exit_code == 0, done.output
    assert asked == [("models.lab", "http://prometheus", 24)]
    for _, content in cluster.patches:
        (container,) = content["spec"]["containers"]
        assert container["resources"] == {"requests": {"cpu": "140m"}}
    found[0] = Finding(SERVER, "cpu_request_millicores", 100, 90.0, 100, "fits")
    cluster.calls.clear()
    done = run("--prometheus", "http://prometheus")
    assert (done.exit_code, cluster.calls) == (0, [])
    assert "all sizes fit" in done.output


def test_a_request_stays_within_its_limit() -> None:
    """The CPU limit is the owner's, and Kubernetes refuses a request above it."""
    (part,) = parts(SERVER, settings().models[SERVER])
    found = [Finding(SERVER, "cpu_request_millicores", 100, 700.0, 700, "raise it")]
    assert plan.of_findings(part, found).sizes == {"cpu_request_millicores": 500}


def test_an_autoscaler_by_cpu_is_refused_and_one_by_requests_is_not(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    cluster.autoscalers = [resizable.autoscaler("cpu")]
    done = run(*of_words(**NEW))
    assert done.exit_code == 1
    assert "by-use scales employment by cpu in percent of the request" in done.output
    assert cluster.patches == []
    # Neither a limit, nor another resource, nor a target that is not a share of it.
    for resource, kind, sizes in (
        ("cpu", "Utilization", {"memory_request_mib": 160}),
        ("cpu", "Utilization", {"memory_limit_mib": 512}),
        ("cpu", "AverageValue", {"cpu_request_millicores": 140}),
        ("memory", "Utilization", {"cpu_request_millicores": 150}),
    ):
        cluster.autoscalers = [resizable.autoscaler(resource, kind)]
        assert run(*of_words(**sizes)).exit_code == 0
    cluster.autoscalers = [resizable.autoscaler("memory")]
    assert "by memory in percent" in run(*of_words(memory_request_mib=96)).output
    other = resizable.autoscaler("cpu")
    other["spec"]["scaleTargetRef"]["name"] = "other"
    cluster.autoscalers = [other]
    assert run(*of_words(**NEW)).exit_code == 0


def test_all_that_stands_in_the_way_is_said_at_once(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    cluster.can_resize = False
    cluster.autoscalers = [resizable.autoscaler("cpu")]
    cluster.deployment = resizable.deployment(3)
    cluster.deployment["status"]["updatedReplicas"] = 1
    done = run(*of_words(cpu_request_millicores=600))
    assert done.exit_code == 1
    assert "nothing was resized" in done.output
    for text in (
        "cannot resize pods in place: that needs Kubernetes 1.33",
        "by cpu in percent",
        "a rollout goes on",
        "cpu_request_millicores: 600: it is more than cpu_limit_millicores",
    ):
        assert text in done.output
    assert cluster.patches == []
    cluster.deployment = None
    assert "run `slipway up` first" in run(*of_words(**NEW)).output


def test_a_class_of_service_cannot_change(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    equal = of_words(memory_limit_mib=128, cpu_request_millicores=500)
    # The log shipper asks for less than it may use, so the pods stay Burstable.
    assert run(*equal).exit_code == 0
    for it in cluster.pods.values():
        del it["spec"]["containers"][1]
    done = run(*equal)
    assert f"{NAMES[0]} is Burstable, and would be Guaranteed" in done.output
    for it in cluster.pods.values():
        it["status"]["qosClass"] = "Guaranteed"
    assert run(*equal).exit_code == 0
    assert "is Guaranteed, and would be Burstable" in run(*of_words(**NEW)).output


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (
            ("PodResizePending", "Infeasible", "node too small"),
            "Infeasible: node too small",
        ),
        (
            ("PodResizePending", "Deferred", "no room now"),
            "after 60 s: Deferred: no room now",
        ),
        (
            ("PodResizeInProgress", "Error", "limit below use"),
            "after 60 s: Error: limit below use",
        ),
    ],
)
def test_a_replica_that_cannot_have_its_size_gets_its_former_one_back(
    cluster: ResizableCluster,
    clock: Clock,
    stack: object,
    trouble: tuple[str, str, str],
    text: str,
) -> None:
    cluster.trouble[NAMES[1]] = trouble
    done = run(*of_words(**NEW))
    assert done.exit_code == 1
    assert f"{NAMES[1]}: {text}; its former size was asked for again" in done.output
    assert "1 of 3 have the new size" in done.output
    assert [name for name, _ in cluster.patches] == [NAMES[0], NAMES[1], NAMES[1]]
    (container,) = cluster.patches[-1][1]["spec"]["containers"]
    former = {"requests": {"cpu": "100m"}, "limits": {"memory": "384Mi"}}
    assert container["resources"] == former
    assert cluster.size(NAMES[2]) == resizable.SIZES


def test_a_node_without_room_is_said_in_the_servers_words(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    cluster.forbidden = {NAMES[0]}
    done = run(*of_words(**NEW))
    assert done.exit_code == 1
    assert f"{NAMES[0]} keeps its size" in done.output
    assert "Node didn't have enough resource: cpu" in done.output
    assert len(cluster.patches) == 1


def test_a_size_that_was_asked_for_without_an_answer_is_taken_back(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    """The request may have arrived, and the kubelet would go on trying."""
    cluster.unanswered = {NAMES[1]}
    done = run(*of_words(**NEW))
    assert done.exit_code == 1
    assert f"{NAMES[1]}: " in done.output
    assert "its former size was asked for again" in done.output
    assert "1 of 3 have the new size" in done.output
    assert cluster.size(NAMES[1]) == resizable.SIZES
    (container, _) = cluster.pods[NAMES[1]]["spec"]["containers"]
    assert container["resources"] == resizable.SIZES
    assert [name for name, _ in cluster.patches] == [NAMES[0], NAMES[1], NAMES[1]]


def test_pods_that_no_longer_run_are_no_replicas(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    """The pod of an eviction stays, as Failed, until it is collected."""
    cluster.pods[NAMES[0]]["status"]["phase"] = "Failed"
    done = run(*of_words(**NEW))
    assert done.exit_code == 0, done.output
    assert [name for name, _ in cluster.patches] == NAMES[1:]


STACK_FILE = "New replicas have the sizes of the stack file."


def test_the_stack_file_is_left_alone_when_a_size_is_refused(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    wrong = run(*of_words(cpu_request_millicores=600))
    cluster.autoscalers = [resizable.autoscaler("cpu")]
    both = run(*of_words(cpu_request_millicores=600))
    cluster.autoscalers = []
    cluster.trouble[NAMES[0]] = ("PodResizePending", "Infeasible", "node too small")
    infeasible = run(*of_words(**NEW))
    unasked = CliRunner().invoke(cli, ["resize", SERVER, *of_words(**NEW)])
    for done in (wrong, both, infeasible, unasked):
        assert done.exit_code in (1, 2)
        assert STACK_FILE not in done.output


def test_a_size_that_only_an_autoscaler_forbids_is_for_the_stack_file(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    cluster.autoscalers = [resizable.autoscaler("cpu")]
    done = run(*of_words(**NEW))
    assert done.exit_code == 1
    assert STACK_FILE in done.output
    assert "cpu_request_millicores: 140" in done.output


def test_a_replica_that_does_not_become_ready_ends_the_resize(
    cluster: ResizableCluster, clock: Clock, stack: object
) -> None:
    cluster.unready = {NAMES[0]}
    done = run(*of_words(**NEW), "--seconds", 5)
    assert done.exit_code == 1
    assert "after 5 s: it has its new size and is not ready" in done.output
    assert {name for name, _ in cluster.patches} == {NAMES[0]}


def test_a_replica_that_is_gone_meanwhile(cluster: ResizableCluster) -> None:
    pod = cluster.pods.pop(NAMES[0])
    watch = Watch(5)
    with pytest.raises(ResizeError, match="is gone"):
        replica.resize(cluster.api, NAMESPACE, pod, change(**NEW), watch)


def test_an_interrupted_resize_is_taken_back(
    cluster: ResizableCluster, monkeypatch: pytest.MonkeyPatch, stack: object
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "Watch", lambda it: Watch(it, lambda: 0.0, interrupt))
    done = run(*of_words(**NEW))
    assert done.exit_code == 130
    assert "interrupted; its former size was asked for again" in done.output
    assert [name for name, _ in cluster.patches] == [NAMES[0]] * 2


def test_what_is_asked_for_must_be_there(stack: object) -> None:
    done = CliRunner().invoke(cli, ["resize", "other", *of_words(**NEW)])
    assert (done.exit_code, "it has employment" in done.output) == (1, True)
    done = run("--revision", "b", *of_words(**NEW))
    assert (done.exit_code, "has no revision b" in done.output) == (1, True)
    for text in ("cpu_limit_millicores=5", "memory_limit_mib=x", "memory_limit_mib"):
        done = run(f"--set={text}")
        assert (done.exit_code, "is not SETTING=NUMBER" in done.output) == (2, True)
    done = CliRunner().invoke(cli, ["resize", SERVER, *of_words(**NEW)])
    assert done.exit_code == 2
    assert "give --yes" in done.output


def test_each_revision_has_sizes_of_its_own(
    cluster: ResizableCluster, clock: Clock, stack: Callable[..., None]
) -> None:
    image = reference("employment")
    revisions = {
        name: {"model_image": image, "weight": weight}
        for name, weight in (("a", 90), ("b", 10))
    }
    given = settings().models[SERVER].resources.model_dump()
    stack(
        stack_settings_of(
            {
                SERVER: {
                    "model_image": None,
                    "resources": given,
                    "revisions": revisions,
                }
            }
        )
    )
    done = run("--revision", "b", *of_words(memory_limit_mib=512))
    # Its Deployment is not in this cluster.
    assert f"{SERVER}-b is not in the cluster" in done.output
    cluster.deployments = {f"{SERVER}-b"}
    done = run("--revision", "b", *of_words(memory_limit_mib=512))
    assert done.exit_code == 0, done.output
    said = yaml.safe_load(done.stdout.partition("one by one:\n")[2])
    assert said[SERVER]["revisions"]["b"]["resources"]["memory_limit_mib"] == 512
