"""Docker Engine, Podman, a registry and containerd's image service, real and private.

Debian's packages are unpacked, not installed. Each program runs in a mount namespace of
its own, keeps all its files in one folder, and touches no network but loopback.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx

from tests.support.grpc_calls import free_port
from tests.support.kube import wait_until
from toolchain import packages, programs

START_SECONDS = 60.0
CGROUPS = ("docker/buildkit", "docker", "libpod_parent/conmon", "libpod_parent")
FOLDERS = (
    *("/run/docker/plugins", "/run/docker", "/run/containerd/s", "/run/containerd"),
    "/run/runc",
)
"""What the programs leave behind, empty: below each hierarchy's root, and elsewhere."""


def _unpacked(*names: str) -> Path:
    return packages.unpack(names, suite="bookworm")


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str]
) -> Iterator[None]:
    """A daemon in a mount namespace, ended with all that it started."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--mount", "--", *map(str, command)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Debian's docker-registry; its host:port."""
    host = f"127.0.0.1:{free_port()}"
    file = folder / "registry.yml"
    file.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        f"http: {{addr: '{host}'}}\n"
    )
    program = _unpacked("docker-registry") / "usr/bin/docker-registry"
    with running([program, "serve", file], folder / "registry.log", {}):

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"http://{host}/v2/", trust_env=False).is_success
            return False

        wait_until(answers, START_SECONDS, "the registry answers", pause=0.1)
        yield host


@contextmanager
def docker(folder: Path) -> Iterator[Path]:
    """Docker Engine without networks of containers; the folder of its command.

    A program `docker` there gives builds and containers no network.
    """
    unpacked = _unpacked("docker.io", "containerd", "runc", "tini")
    home, bin_folder = folder / "docker", folder / "docker-bin"
    bin_folder.mkdir(parents=True)
    path = f"{unpacked}/usr/sbin:{unpacked}/usr/bin:{os.environ['PATH']}"
    dockerd = str(unpacked / "usr/sbin/dockerd")
    command = [dockerd, f"--host=unix://{home}/docker.sock"]
    command += [f"--data-root={home}/data", f"--exec-root={home}/exec"]
    command += [f"--pidfile={home}/pid", f"--config-file={home}/daemon.json"]
    command += ["--bridge=none", "--iptables=false", "--ip-forward=false"]
    command += ["--ip-masq=false"]
    home.mkdir()
    (home / "daemon.json").write_text("{}")
    script = bin_folder / "docker"
    script.write_text(
        f"#!/bin/sh\nexport DOCKER_HOST=unix://{home}/docker.sock\n"
        f"export DOCKER_CONFIG={home}/config\nverb=$1\n"
        'case $verb in build | run) shift; set -- "$verb" --network none "$@" ;; esac\n'
        f'exec {unpacked}/usr/bin/docker "$@"\n'
    )
    script.chmod(0o755)
    with running(command, folder / "docker.log", {"PATH": path}):
        info = [str(script), "info"]
        wait_until(
            lambda: (
                subprocess.run(info, capture_output=True, check=False).returncode == 0
            ),
            START_SECONDS,
            f"dockerd answers: {folder}/docker.log",
            pause=0.2,
        )
        yield bin_folder
    tidy()


@contextmanager
def podman(folder: Path) -> Iterator[Path]:
    """Podman with a storage of its own; the folder of its command.

    Containers have no network, and no limits above ours: without CAP_SYS_RESOURCE they
    could not be set.
    """
    unpacked = _unpacked("podman", "conmon", "runc")
    home, bin_folder = folder / "podman", folder / "podman-bin"
    home.mkdir(parents=True)
    bin_folder.mkdir()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    (home / "containers.conf").write_text(
        f"[engine]\nconmon_path = ['{unpacked}/usr/bin/conmon']\nruntime = 'runc'\n"
        "cgroup_manager = 'cgroupfs'\nevents_logger = 'none'\n"
        f"[engine.runtimes]\nrunc = ['{unpacked}/usr/sbin/runc']\n"
        f"[network]\nnetwork_config_dir = '{home}/networks'\n"
        "[containers]\nnetns = 'none'\n"
        f"default_ulimits = ['nofile={files}:{files}', 'nproc=1000:1000']\n"
    )
    (home / "storage.conf").write_text(
        f"[storage]\ndriver = 'overlay'\ngraphroot = '{home}/root'\n"
        f"runroot = '{home}/run'\n"
    )
    script = bin_folder / "podman"
    script.write_text(
        f"#!/bin/sh\nexport CONTAINERS_CONF={home}/containers.conf\n"
        f"export CONTAINERS_STORAGE_CONF={home}/storage.conf\n"
        "export BUILDAH_ISOLATION=chroot\n"
        f'exec unshare --mount {unpacked}/usr/bin/podman --tmpdir {home}/tmp "$@"\n'
    )
    script.chmod(0o755)
    yield bin_folder
    tidy()


def tidy() -> None:
    """Removes the empty folders and control groups that the programs leave."""
    hierarchies = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
    groups = [hierarchy / name for hierarchy in hierarchies for name in CGROUPS]
    for folder in (*groups, *map(Path, FOLDERS)):
        with contextlib.suppress(OSError):
            folder.rmdir()


class ImageService:
    """containerd's image service for Kubernetes, and the import that kind runs."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "containerd.sock"
        self.programs = programs.get("containerd")

    def load(self, archive: Path) -> None:
        """What `kind load image-archive` runs in each node (kind 0.31)."""
        ctr = str(self.programs.binary("ctr"))
        command = [ctr, f"--address={self.socket}"]
        command += ["--namespace=k8s.io", "images", "import", "--all-platforms"]
        command += ["--digests", "--snapshotter=overlayfs", "-"]
        with archive.open("rb") as file:
            subprocess.run(command, stdin=file, capture_output=True, check=True)

    def has(self, reference: str) -> bool:
        """Whether the kubelet would find an image without pulling it.

        ImageStatus of k8s.io/cri-api runtime.v1: a request's field 1 has the image,
        whose field 1 is the reference; the answer is empty where there is none.
        """
        with grpc.insecure_channel(f"unix://{self.socket}") as channel:
            call = channel.unary_unary("/runtime.v1.ImageService/ImageStatus")
            answer: bytes = call(_field(_field(reference.encode())), timeout=10)
        return reference.encode() in answer


def _field(content: bytes) -> bytes:
    """Field 1 of a protobuf message, as bytes."""
    size, length = len(content), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return b"\x0a" + bytes([*length, size]) + content


@contextmanager
def image_service(folder: Path) -> Iterator[ImageService]:
    """containerd, as a node of Kubernetes has it, without containers."""
    service = ImageService(folder)
    file = folder / "containerd.toml"
    file.write_text(
        f"version = 3\nroot = '{folder}/root'\nstate = '{folder}/state'\n"
        f"[grpc]\naddress = '{service.socket}'\n"
        f"[plugins.'io.containerd.internal.v1.opt']\npath = '{folder}/opt'\n"
        "[plugins.'io.containerd.nri.v1.nri']\ndisable = true\n"
    )
    containerd = service.programs.binary("containerd")
    command = [str(containerd), "--config", str(file)]
    with running(command, folder / "containerd.log", {}):

        def answers() -> bool:
            with contextlib.suppress(grpc.RpcError):
                return not service.has("nothing")
            return False

        wait_until(answers, START_SECONDS, "containerd answers", pause=0.1)
        yield service
    tidy()
