"""The Pod Security Standard `restricted`, as k8s.io/pod-security-admission v0.36 is.

Each check names the file of that module whose rule it repeats. The API server of the
lab applies the original; here it costs no cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
SAFE_PROFILES = {"RuntimeDefault", "Localhost"}
HANDLERS = ("livenessProbe", "readinessProbe", "startupProbe")


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """All of a pod's containers, the ephemeral and the initial too."""
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return [c for kind in kinds for c in pod.get(kind, [])]


def violations(pod: dict[str, Any]) -> list[str]:
    """What of a pod's spec the standard refuses; nothing if it conforms."""
    found = list(_of_pod(pod))
    for container in containers(pod):
        name = container["name"]
        found += [f"{name}: {what}" for what in _privileges(container)]
        found += [f"{name}: {what}" for what in _identity(pod, container)]
        found += [f"{name}: {what}" for what in _host_access(container)]
    return found


def _of_pod(pod: dict[str, Any]) -> Iterator[str]:
    context = pod.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):  # check_hostNamespaces
        if pod.get(name):
            yield name
    for volume in pod.get("volumes", []):  # check_restrictedVolumes
        if not ALLOWED_VOLUMES & set(volume):
            yield f"volume {volume['name']}"
    for sysctl in context.get("sysctls", []):  # check_sysctls
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    if context.get("runAsUser") == 0:  # check_runAsUser
        yield "pod runs as root"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "windows host process"


def _privileges(container: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    if own.get("privileged"):  # check_privileged
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    capabilities = own.get("capabilities", {})  # check_capabilities_restricted
    if "ALL" not in capabilities.get("drop", []):
        yield "does not drop ALL"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"


def _identity(pod: dict[str, Any], container: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    merged = {**pod.get("securityContext", {}), **own}
    if merged.get("runAsNonRoot") is not True:  # check_runAsNonRoot
        yield "runAsNonRoot is not true"
    if own.get("runAsUser") == 0:  # check_runAsUser
        yield "runs as root"
    profile = merged.get("seccompProfile", {}).get("type")
    if profile not in SAFE_PROFILES:  # check_seccompProfile_restricted
        yield f"seccomp profile {profile}"
    if own.get("procMount", "Default") != "Default":  # check_procMount
        yield "procMount"


def _host_access(container: dict[str, Any]) -> Iterator[str]:
    for port in container.get("ports", []):  # check_hostPorts
        if port.get("hostPort"):
            yield "hostPort"
    for handler in HANDLERS:  # check_hostProbesAndhostLifecycle
        for action in ("httpGet", "tcpSocket"):
            if container.get(handler, {}).get(action, {}).get("host"):
                yield f"{handler} has a host"
