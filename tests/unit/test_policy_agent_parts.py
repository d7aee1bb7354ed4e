"""The policy agent around its compiler: what it follows, says and leaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prometheus_client import generate_latest

from components.platform import policy_agent as component
from pod_parts.api_client import Api
from tests.support import platform
from tests.support.node_autoscaler import SIMULATED
from tests.support.pod_pages import get, running
from tests.support.policies import namespace, pod, policy
from tests.support.prometheus_text import samples
from tests.support.rendered import IMAGES

NAMESPACES, PODS, POLICIES = range(3)


class FakeApi(BaseHTTPRequestHandler):
    """Answers each path by its list of (status, lines), the last one for ever."""

    answers: ClassVar[dict[str, list[tuple[int, list[dict[str, Any]]]]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        watch = "watch=true" in self.path
        waiting = self.answers[f"{'watch ' if watch else ''}{self.path.split('?')[0]}"]
        status, lines = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        self.send_response(status)
        self.end_headers()
        for line in lines:
            self.wfile.write(json.dumps(line).encode() + b"\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Any]:
    FakeApi.answers.clear()
    FakeApi.asked.clear()
    (tmp_path / "token").write_text("secret\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeApi)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Api("127.0.0.1", server.server_port, "test", account=tmp_path)
    server.shutdown()
    server.server_close()


def test_the_daemon_sets_end_is_distinguished_from_silence(api: Any) -> None:
    from policy_agent.__main__ import is_orphaned

    FakeApi.answers["/owner"] = [
        (200, [{"metadata": {}}]),
        (200, [{"metadata": {"deletionTimestamp": "now"}}]),
        (404, [{}]),
        (500, [{}]),
    ]
    answers = [is_orphaned(api, "/owner") for _ in range(4)]
    assert answers == [False, True, True, False]
    assert not is_orphaned(Api("127.0.0.1", 1, "test", account=api.account), "/owner")


def test_only_what_matters_to_rules_is_a_change() -> None:
    from policy_agent.state import KINDS, State

    state = State()
    assert not state.is_complete
    state.replace(KINDS[NAMESPACES], [namespace("here")])
    state.replace(KINDS[POLICIES], [])
    assert not state.is_complete
    one = pod("a", "10.0.0.1", app="a")
    state.replace(KINDS[PODS], [one])
    assert state.is_complete
    before = state.version
    one["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    state.update(KINDS[PODS], "MODIFIED", one)
    assert state.version == before
    one["metadata"]["labels"] = {"app": "b"}
    state.update(KINDS[PODS], "MODIFIED", one)
    assert state.version == before + 1
    assert state.ruleset("n1")[0].known == {"10.0.0.1"}
    one["status"]["phase"] = "Failed"
    state.update(KINDS[PODS], "MODIFIED", one)
    assert state.ruleset("n1")[0].known == frozenset()
    state.update(KINDS[PODS], "DELETED", one)
    assert state.version == before + 2


class FakeNft:
    """A kernel that keeps a table, or refuses it."""

    def __init__(self) -> None:
        self.mark = ""
        self.broken = False
        self.found: list[Any] = []

    def apply(self, table: Any) -> None:
        from policy_agent.nft import NftError

        if self.broken:
            raise NftError("no")
        self.mark = table.mark

    def refused(self, mark: str, *, version: int = 4) -> list[Any] | None:
        return list(self.found) if mark == self.mark else None


@pytest.fixture
def agent() -> Any:
    from policy_agent.agent import Agent
    from policy_agent.state import KINDS, State

    made = Agent(State(), "n1", FakeNft(), "veth*")
    made.stopping.set()  # so that nothing waits
    pods = [pod("a", "10.0.0.1", app="a"), pod("b", "10.0.0.2")]
    found = ([namespace("here")], pods, [policy({}, app="a", name="shut")])
    for kind, items in zip(KINDS, found, strict=True):
        made.state.replace(kind, items)
    return made


def test_ready_means_the_newest_state_is_in_force(
    agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from policy_agent import agent as module
    from policy_agent.nft import NftError
    from policy_agent.state import KINDS

    assert agent.problem() == "the table is not in force"
    agent.turn()
    assert agent.problem() == ""
    agent.state.replace(KINDS[POLICIES], [])
    assert agent.problem() == "", "it has a while"
    monkeypatch.setattr(module, "LATE_SECONDS", 0.0)
    assert "a change waits" in agent.problem()
    agent.nft.broken = True
    with pytest.raises(NftError):
        agent.turn()
    assert agent.problem() == "the table is not in force"
    agent.nft.broken = False
    agent.turn()
    assert agent.problem() == ""


def test_a_lost_table_is_restored_and_counted_and_a_standing_one_left(
    agent: Any,
) -> None:
    from policy_agent.metrics import MetricsCollector

    agent.turn()
    agent.turn()
    assert (agent.applications, agent.restorations) == (1, 0)
    agent.nft.mark = ""
    agent.turn()
    assert (agent.applications, agent.restorations) == (2, 1)
    agent.applied_at, agent.apply_seconds = 7.0, 0.5
    found = samples(generate_latest(MetricsCollector(agent)).decode())
    assert found == {
        ("policy_agent_rules",): agent.ruleset.count,
        ("policy_agent_pods",): 2,
        ("policy_agent_isolated_pods", "ingress"): 1,
        ("policy_agent_isolated_pods", "egress"): 0,
        ("policy_agent_last_apply_timestamp_seconds",): 7,
        ("policy_agent_applies_total",): 2,
        ("policy_agent_apply_seconds_total",): 0.5,
        ("policy_agent_pending_seconds",): 0,
        ("policy_agent_restored_total",): 1,
        ("policy_agent_refused_total",): 0,
        ("policy_agent_errors_total", "api"): 0,
        ("policy_agent_errors_total", "nft"): 0,
    }


def test_pages_tell_what_the_agent_knows(
    agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from policy_agent import agent as module
    from policy_agent import web

    server = web.server("127.0.0.1", 0, agent)
    with running(server):
        assert get(server.port, "/livez") == (200, b"alive")
        assert get(server.port, "/readyz") == (503, b"the table is not in force")
        agent.turn()
        assert get(server.port, "/readyz") == (200, b"in force")
        assert b"policy_agent_applies_total 1.0" in get(server.port, "/metrics")[1]
        monkeypatch.setattr(module, "HUNG_SECONDS", 0.0)
        assert get(server.port, "/livez") == (500, b"the loop hangs")


def test_who_is_refused_is_named_once(
    agent: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from policy_agent.nft import Refused

    agent.turn()
    agent.nft.found = [Refused("10.0.0.2", "10.0.0.1", "TCP", 80)]
    agent.turn()
    agent.turn()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (refused,) = [line for line in lines if line["message"] == "refused"]
    assert refused["pod"] == "here/a"
    assert refused["policies"] == ["shut"]
    assert refused["direction"] == "Ingress"


def test_the_agent_runs_on_every_node_with_one_capability() -> None:
    daemon = platform.only(platform.lab(), "DaemonSet", "policy-agent")
    pod_spec = daemon["spec"]["template"]["spec"]
    assert pod_spec["hostNetwork"] is True
    assert pod_spec["tolerations"] == [{"operator": "Exists"}]
    # All but simulated ones, by the label that their tests select them by.
    (rule,) = pod_spec["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"][0]["matchExpressions"]
    assert rule == {"key": SIMULATED.partition("=")[0], "operator": "DoesNotExist"}
    (container,) = pod_spec["containers"]
    assert container["image"] == IMAGES["policy-agent"]
    environment = {e["name"]: e.get("value") for e in container["env"]}
    assert environment["POLICY_AGENT_INTERFACES"] == "veth*"
    path = environment["POLICY_AGENT_OWNER"]
    metadata = daemon["metadata"]
    assert path.endswith(
        f"/namespaces/{metadata['namespace']}/daemonsets/{metadata['name']}"
    )
    assert container["ports"][0]["containerPort"] == component.PORT


def test_the_agent_is_off_unless_asked_for() -> None:
    kinds = {m["kind"] for m in platform.rendered().manifests}
    assert "DaemonSet" not in kinds
