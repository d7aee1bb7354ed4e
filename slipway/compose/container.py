"""A pod's container as a Compose service: image, settings, folders, health, bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from components import images
from slipway.compose import secrets, tools
from slipway.compose.composition import Composition
from slipway.compose.objects import (
    Object,
    Objects,
    name_of,
    namespace_of,
    path_of,
    pod_metadata,
    pod_spec,
    problem,
)
from slipway.compose.quantities import cpus, mebibytes
from slipway.compose.tools import Service

GPU = "nvidia.com/gpu"
CONFIG_LABEL = "slipway.dev/config"
"""On a service, a digest of its files: if it changes, Compose recreates the
container."""
_KNOWN_RESOURCES = {"cpu", "memory", "ephemeral-storage", GPU}
_REFERENCE = re.compile(r"\$\([^)]*\)")
_BY_HAND = "write a compose.yaml for it by hand, or run it on a cluster"


def escaped(value: str) -> str:
    """Compose replaces `$NAME` in all that it reads."""
    return value.replace("$", "$$")


@dataclass
class Container:
    """The container of one workload, to become a service of `composition`."""

    composition: Composition
    objects: Objects
    workload: Object
    container: Object
    data: dict[str, str] = field(default_factory=dict)
    """Files by mount point that replace a volume: folder beside the file."""
    _depends_on: Service = field(default_factory=dict)
    _mounts: list[Service] = field(default_factory=list)
    _tmpfs: list[str] = field(default_factory=list)
    _tmpfs_mib: int = 0
    _files: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return name_of(self.workload)

    def service(self, replicas: int = 1) -> Service:
        """Return the service; its dependencies are added to the composition."""
        container = self.container
        self._check()
        context = {
            **(pod_spec(self.workload).get("securityContext") or {}),
            **(container.get("securityContext") or {}),
        }
        self._user = str(context.get("runAsUser", 10001))
        self._group = str(context.get("runAsGroup", self._user))
        self._add_volumes()
        health = self._health()
        mounts = [tools.mount(), *self._mounts] if health else self._mounts
        if health:
            self._depends_on = {tools.SERVICE: tools.DONE, **self._depends_on}
        seconds = pod_spec(self.workload).get("terminationGracePeriodSeconds", 30)
        labels = dict(pod_metadata(self.workload).get("labels", {}))
        if self._files:
            texts = (self.composition.files[path] for path in self._files)
            labels[CONFIG_LABEL] = tools.digest(*texts)
        return {
            **tools.hardened(f"{self._user}:{self._group}"),
            "image": container["image"],
            "entrypoint": [escaped(word) for word in container.get("command", [])],
            "command": [escaped(word) for word in container.get("args", [])],
            "environment": self._environment(),
            "volumes": mounts,
            "tmpfs": self._tmpfs,
            "depends_on": self._depends_on,
            "healthcheck": health,
            "restart": "unless-stopped",
            "stop_grace_period": f"{seconds}s",
            "deploy": {"replicas": replicas, "resources": self._resources()},
            "labels": {key: escaped(value) for key, value in labels.items()},
        }

    def port(self, wanted: int | str) -> int:
        """Number of one of the container's ports, which may be given by name."""
        for port in self.container.get("ports", []):
            if wanted in (port.get("name"), port["containerPort"]):
                return int(port["containerPort"])
        if isinstance(wanted, int):
            return wanted
        raise self._refuse("ports", wanted, "no port has this name", "name one")

    def _refuse(self, path: str, value: Any, reason: str, fix: str) -> Exception:
        where = f"spec.template.spec.{path}"
        return problem(self.workload, where, value, reason, fix)

    def _check(self) -> None:
        pod = pod_spec(self.workload)
        for key in ("initContainers", "hostNetwork", "hostPID", "runtimeClassName"):
            if pod.get(key):
                raise self._refuse(
                    key, pod[key], "`slipway compose` does not support it", _BY_HAND
                )
        if "lifecycle" in self.container:
            hooks = self.container["lifecycle"]
            if set(hooks) != {"preStop"} or "sleep" not in hooks["preStop"]:
                raise self._refuse(
                    "lifecycle",
                    hooks,
                    "`slipway compose` does not support it",
                    _BY_HAND,
                )

    def _environment(self) -> dict[str, str]:
        fields = {
            "metadata.namespace": namespace_of(self.workload),
            "metadata.labels['app.kubernetes.io/instance']": self.name,
        }
        found = {}
        for variable in self.container.get("env", []):
            name, value = variable["name"], variable.get("value", "")
            if source := variable.get("valueFrom"):
                if key := source.get("secretKeyRef"):
                    found[name] = secrets.variable(
                        self.composition, self.workload, key["name"], key["key"]
                    )
                    continue
                path = source.get("fieldRef", {}).get("fieldPath")
                if path not in fields:
                    raise self._refuse(
                        f"env {name}",
                        source,
                        "its source does not exist in Compose",
                        "give the value itself, or run it on a cluster",
                    )
                value = fields[path]
            found[name] = escaped(self._as_the_program_gets_it(name, value))
        return found

    def _as_the_program_gets_it(self, name: str, value: str) -> str:
        """Return a value as Kubernetes passes it: `$$` is `$`, `$(NAME)` a variable."""
        if _REFERENCE.search(value.replace("$$", "")):
            raise self._refuse(
                f"env {name}",
                value,
                "Compose does not expand variables inside variables",
                "give the value itself, or run it on a cluster",
            )
        return value.replace("$$", "$")

    def _add_volumes(self) -> None:
        pod = pod_spec(self.workload)
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        claims = self.workload["spec"].get("volumeClaimTemplates", [])
        claimed = {claim["metadata"]["name"] for claim in claims}
        for mount in self.container.get("volumeMounts", []):
            target, name = mount["mountPath"], mount["name"]
            volume = volumes.get(name, {})
            if target in self.data:
                self._bind(self.data[target], target)
            elif "image" in volume:
                self._add_image(volume["image"]["reference"], target)
            elif "configMap" in volume:
                self._add_config(volume["configMap"]["name"], target)
            elif "projected" in volume:
                for source in volume["projected"]["sources"]:
                    self._add_secret(source, target)
            elif name in claimed or volume.get("emptyDir") == {}:
                self._add_data(name, target)
            elif "emptyDir" in volume:
                mib = mebibytes(volume["emptyDir"].get("sizeLimit", "64Mi"))
                self._tmpfs_mib += mib
                # Owner and not mode alone: at a container's second start the folder is
                # there, and runc 1.1 gives the tmpfs the mode that it has.
                owner = f"uid={self._user},gid={self._group}"
                options = f"size={mib}m,mode=1777,{owner},nosuid,nodev,noexec"
                self._tmpfs.append(f"{target}:{options}")
            else:
                raise self._refuse(
                    f"volumes {name}",
                    {k: v for k, v in volume.items() if k != "name"},
                    "a single machine has no such volume",
                    _BY_HAND,
                )

    def _add_image(self, reference: str, target: str) -> None:
        """A volume of the image's files, shared by all who want the same image."""
        base = re.sub(r"[^a-z0-9-]", "-", reference.partition("@")[0].split("/")[-1])
        source = f"files-{base.split(':')[0]}-{images.short_digest(reference)}"
        if source not in self.composition.volumes:
            self.composition.volumes[source] = {}
            self.composition.add(source, tools.files_of(reference, source))
        self._depends_on[source] = tools.DONE
        self._mounts.append(tools.read_only_volume(source, target))

    def _add_config(self, name: str, target: str) -> None:
        namespace = namespace_of(self.workload)
        config = self.objects.find("ConfigMap", name, namespace)
        if config is None:
            raise self._refuse(
                "volumes", name, "its ConfigMap is not in these stacks", _BY_HAND
            )
        for key, text in config["data"].items():
            self.composition.files.setdefault(f"{name}/{key}", text)
        self._bind(name, target)

    def _add_secret(self, source: Object, target: str) -> None:
        """Add the files of a Secret, each a separate file of the machine."""
        if set(source) != {"secret"}:
            raise self._refuse(
                "volumes", source, "`slipway compose` does not support it", _BY_HAND
            )
        secret = source["secret"]
        for item in secret["items"]:
            path = f"{target}/{item['path']}"
            self._mounts.append(
                secrets.file(
                    self.composition, self.workload, secret["name"], item["key"], path
                )
            )

    def _bind(self, folder: str, target: str) -> None:
        inside = [p for p in self.composition.files if p.startswith(f"{folder}/")]
        self._files += sorted(inside)
        self._mounts.append(
            {
                "type": "bind",
                "source": f"./{folder}",
                "target": target,
                "read_only": True,
                "bind": {"create_host_path": False},
            }
        )

    def _add_data(self, name: str, target: str) -> None:
        source = f"{self.name}-{name}"
        self.composition.volumes[source] = {}
        owner = f"{source}-owner"
        self.composition.add(owner, tools.owner_of(source, self._user))
        self._depends_on[owner] = tools.DONE
        self._mounts.append({"type": "volume", "source": source, "target": target})

    def _health(self) -> Service | None:
        probe = self.container.get("readinessProbe")
        if not probe:
            return None
        timing = {
            "seconds": probe.get("periodSeconds", 10),
            "timeout": probe.get("timeoutSeconds", 1),
            "failures": probe.get("failureThreshold", 3),
        }
        if "httpGet" not in probe:
            raise self._refuse(
                "readinessProbe", probe, "it is not an HTTP probe", _BY_HAND
            )
        ask = probe["httpGet"]
        port = self.port(ask["port"])
        url = f"http://127.0.0.1:{port}{ask.get('path', '/')}"
        found = tools.health(url, **timing)
        if start := self.container.get("startupProbe"):
            seconds = start.get("periodSeconds", 10) * start.get("failureThreshold", 3)
            found["start_period"] = f"{seconds}s"
        return found

    def _resources(self) -> Service:
        limits = self.container.get("resources", {}).get("limits", {})
        for name in set(limits) - _KNOWN_RESOURCES:
            raise self._refuse(
                "resources", name, "Compose does not support this resource", _BY_HAND
            )
        memory = mebibytes(limits.get("memory", "512Mi")) + self._tmpfs_mib
        found = tools.limits(cpus(limits.get("cpu", "1")), memory)
        if GPU in limits:
            device = {
                "driver": "nvidia",
                # A count alone does not keep two services from the same devices.
                "device_ids": self.composition.take_gpus(int(limits[GPU])),
                "capabilities": ["gpu"],
            }
            found["reservations"] = {"devices": [device]}
            self.composition.add_remark(
                f"{self.name} needs the NVIDIA driver and container toolkit on the "
                "machine; nothing installs them here."
            )
        return found


def only_container(workload: Object, name: str | None = None) -> Object:
    """The workload's container: the named one, or the only one."""
    found: list[Object] = pod_spec(workload)["containers"]
    if name:
        found = [container for container in found if container["name"] == name]
    if len(found) != 1:
        raise problem(
            workload,
            "spec.template.spec.containers",
            [container["name"] for container in found],
            f"only one container can be translated ({path_of(workload, '').strip()})",
            _BY_HAND,
        )
    return found[0]
