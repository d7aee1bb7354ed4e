"""The model console as a component: objects, who calls whom, what it is told."""

from __future__ import annotations

from typing import Any

import pytest
from model_console import settings

from components import naming
from components.settings import SettingsError
from lab.settings import FORWARDS
from slipway.rendering.render import Rendered, render
from tests.support import platform
from tests.support import rendered as r
from tests.support.rendered import IMAGES

CONSOLE = {"app.kubernetes.io/name": "model-console"}


def stack(console: dict[str, Any] | None, **model: Any) -> Rendered:
    sent = {"prediction_log": {"sink": "monitor"}, "monitor": {}}
    monitor = {} if console is None else {"console": console}
    return r.models(
        monitor=monitor, models={"employment": {**r.EMPLOYMENT, **sent, **model}}
    )


def objects(made: Rendered) -> dict[str, dict[str, Any]]:
    """The console's objects by kind."""
    return {
        one["kind"]: one
        for one in made.manifests
        if one["metadata"]["labels"]["app.kubernetes.io/name"] == naming.MODEL_CONSOLE
    }


def policy(made: Rendered) -> dict[str, Any]:
    spec: dict[str, Any] = objects(made)["NetworkPolicy"]["spec"]
    return spec


def ports(rules: list[dict[str, Any]]) -> list[list[int]]:
    return [[port["port"] for port in rule["ports"]] for rule in rules]


def test_there_is_none_unless_asked_for() -> None:
    assert objects(stack(None)) == {}
    assert objects(r.models(monitor={"console": {}})) == {}, "nothing is watched"


def test_it_is_one_pod_with_an_account_and_a_service() -> None:
    found = objects(stack({}))
    kinds = {"Deployment", "Service", "ServiceAccount", "NetworkPolicy"}
    assert set(found) == kinds
    assert found["Service"]["spec"]["type"] == "ClusterIP"
    assert found["Deployment"]["spec"]["replicas"] == 1
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert "volumes" not in pod
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_console_reads_what_it_is_reported() -> None:
    (container,) = objects(stack({}))["Deployment"]["spec"]["template"]["spec"][
        "containers"
    ]
    told = settings.read({one["name"]: one["value"] for one in container["env"]})
    assert told.monitor_url == "http://model-monitor:9300"
    assert told.alertmanager_url == "http://alertmanager.slipway-monitoring.svc:9093"
    by_name = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert by_name == {"http": told.port, "metrics": told.metrics_port}


def test_probes_and_metrics_have_a_port_that_readers_cannot_hold() -> None:
    template = objects(stack({"node_port": 30097}))["Deployment"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "metrics"
    assert template["metadata"]["annotations"]["prometheus.io/port"] == "9311"


def test_it_calls_the_monitor_alertmanager_and_dns_alone() -> None:
    dns, monitor, router = policy(stack({}))["egress"]
    assert {port["port"] for port in dns["ports"]} == {53, 1053, 5353}
    assert monitor == {
        "ports": [{"port": 9300, "protocol": "TCP"}],
        "to": [{"podSelector": {"matchLabels": {**named("model-monitor")}}}],
    }
    (peer,) = router["to"]
    where = peer["namespaceSelector"]["matchLabels"]
    assert where == {"kubernetes.io/metadata.name": "slipway-monitoring"}
    assert named("alertmanager").items() <= peer["podSelector"]["matchLabels"].items()
    assert ports([router]) == [[9093]]


def named(program: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": program}


def test_without_alerts_nobody_is_asked_for_them() -> None:
    made = stack({"alerts": False})
    assert ports(policy(made)["egress"])[1:] == [[9300]]
    (container,) = objects(made)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in container["env"]] == ["MODEL_CONSOLE_MONITOR_URL"]


def test_only_those_who_are_named_may_open_it() -> None:
    (metrics,) = policy(stack({}))["ingress"]
    assert namespaces(metrics) == ["slipway-monitoring"]
    assert ports([metrics]) == [[9311]]
    named_ones, same = policy(stack({"callers": ["proxy", "slipway-monitoring"]}))[
        "ingress"
    ]
    assert namespaces(named_ones) == ["proxy", "slipway-monitoring"]
    assert (ports([named_ones]), same) == ([[9310]], metrics)
    made = stack({"node_port": 30097, "callers": ["proxy"]})
    opened, same = policy(made)["ingress"]
    assert "from" not in opened
    assert (ports([opened]), same) == ([[9310]], metrics)
    (port,) = objects(made)["Service"]["spec"]["ports"]
    assert (port["nodePort"], port["port"]) == (30097, 9310)


def namespaces(rule: dict[str, Any]) -> list[str]:
    return [
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for peer in rule["from"]
    ]


@pytest.mark.parametrize("console", [None, {}])
def test_the_monitor_lets_a_console_in_that_is_there(
    console: dict[str, Any] | None,
) -> None:
    (found,) = [
        one
        for one in stack(console).manifests
        if one["kind"] == "NetworkPolicy"
        and one["metadata"]["name"] == naming.MODEL_MONITOR
    ]
    (rule,) = found["spec"]["ingress"]
    assert ports([rule]) == [[9300]]
    let_in = {"podSelector": {"matchLabels": CONSOLE}} in rule["from"]
    assert let_in == (console is not None)


def test_alertmanager_lets_consoles_of_models_namespaces_in() -> None:
    closed = {"alertmanager": {"node_port": None}}
    made = render("platform.test", config={"monitoring": closed}, images=IMAGES)
    (rule,) = platform.only(made, "NetworkPolicy", "alertmanager")["spec"]["ingress"]
    assert ports([rule]) == [[9093]]
    own, consoles = rule["from"]
    assert own == {"podSelector": {}}
    assert consoles == {
        "namespaceSelector": {"matchLabels": {naming.ROUTES_LABEL: "true"}},
        "podSelector": {"matchLabels": CONSOLE},
    }


def test_the_lab_has_one_and_forwards_its_port() -> None:
    found = objects(render("models.lab", images=IMAGES))
    (port,) = found["Service"]["spec"]["ports"]
    (forward,) = [it for it in FORWARDS if it.name == "console"]
    assert port["nodePort"] == forward.target_port
    assert forward.port == naming.MODEL_CONSOLE_PORT


def test_an_image_that_is_nowhere_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"monitor\.console\.image"):
        stack({"image": "no-such-image"})


def test_no_model_takes_its_name() -> None:
    with pytest.raises(SettingsError, match="the model console"):
        r.models(models={"model-console": r.EMPLOYMENT})


def test_names_of_readers_are_reported_to_the_console() -> None:
    given = {"hosts": ["console.example.com", "console.example.org"]}
    (container,) = objects(stack(given))["Deployment"]["spec"]["template"]["spec"][
        "containers"
    ]
    told = settings.read({one["name"]: one["value"] for one in container["env"]})
    assert told.names == ("console.example.com", "console.example.org")


@pytest.mark.parametrize("name", ["https://a.example", "a.example:80", "*.a.example"])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="not a host name"):
        stack({"hosts": [name]})


CONTROLLER = {"app.kubernetes.io/name": "rollout-controller"}
ROLLOUT = {
    "revisions": {
        "a": {"model_image": "employment"},
        "b": {"model_image": "base", "arm": "canary"},
    },
    "rollout": {"from": "a", "to": "b"},
}


def of_controller(made: Rendered, kind: str) -> list[dict[str, Any]]:
    return [
        one
        for one in made.manifests
        if (one["kind"], one["metadata"]["name"]) == (kind, naming.ROLLOUT_CONTROLLER)
    ]


def rolled(console: dict[str, Any] | None, **more: Any) -> Rendered:
    sent = {"prediction_log": {"sink": "monitor"}, "monitor": {}}
    model = {key: it for key, it in r.EMPLOYMENT.items() if key != "model_image"}
    monitor = {} if console is None else {"console": console}
    models = {"employment": {**model, **sent, **ROLLOUT, **more}}
    return r.models(monitor=monitor, models=models)


def test_it_reaches_the_rollout_controller_where_there_is_one() -> None:
    made = rolled({"alerts": False})
    *_, rule = policy(made)["egress"]
    assert rule == {
        "ports": [{"port": 9479, "protocol": "TCP"}],
        "to": [{"podSelector": {"matchLabels": CONTROLLER}}],
    }
    (container,) = objects(made)["Deployment"]["spec"]["template"]["spec"]["containers"]
    told = settings.read({one["name"]: one["value"] for one in container["env"]})
    assert told.rollouts_url == "http://rollout-controller:9479"
    (service,) = of_controller(made, "Service")
    assert service["spec"]["type"] == "ClusterIP"
    (port,) = service["spec"]["ports"]
    assert port["port"] == 9479
    (deployment,) = of_controller(made, "Deployment")
    (program,) = deployment["spec"]["template"]["spec"]["containers"]
    names = {it["name"]: it["containerPort"] for it in program["ports"]}
    assert names[port["targetPort"]] == 9479
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    # Without a rollout nothing of it is left.
    assert ports(policy(stack({"alerts": False}))["egress"])[1:] == [[9300]]


@pytest.mark.parametrize("console", [None, {}])
def test_the_controller_lets_a_console_in_that_is_there(
    console: dict[str, Any] | None,
) -> None:
    made = rolled(console)
    (found,) = of_controller(made, "NetworkPolicy")
    (rule,) = found["spec"]["ingress"]
    assert ports([rule]) == [[9479]]
    let_in = {"podSelector": {"matchLabels": CONSOLE}} in rule["from"]
    assert let_in == (console is not None)
    assert bool(of_controller(made, "Service")) == (console is not None)


def test_the_controller_knows_the_monitors_names_of_the_models() -> None:
    def told(made: Rendered) -> dict[str, str]:
        (deployment,) = of_controller(made, "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return {one["name"]: one["value"] for one in container["env"]}

    assert "ROLLOUT_MODELS" not in told(rolled({}))
    assert told(rolled({}, model="census"))["ROLLOUT_MODELS"] == "census"
