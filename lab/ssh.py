"""SSH keys of the lab's controller and its hosts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.host import Host
from lab.settings import HostSettings
from toolchain import commands, whole_files

HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True)
class Keys:
    """The keys of the lab whose state is in `folder`."""

    folder: Path

    @property
    def private(self) -> Path:
        """The controller's key."""
        return self.folder / "keys" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "keys" / "known_hosts"

    def make(self) -> None:
        """Makes the controller's key unless it stands."""
        self.private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_key(self.private, "slipway lab controller")

    def install(self, host: Host) -> None:
        """Puts a host's own key and the controller's public one on its disk."""
        _make_key(host.upper / HOST_KEY, host.name)
        authorized = host.upper / "root/.ssh/authorized_keys"
        authorized.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (host.upper / "root").chmod(0o700)
        public = _public(self.private).read_text()
        if not authorized.is_file() or authorized.read_text() != public:
            whole_files.write(authorized, public, 0o600)

    def write_known_hosts(self, hosts: list[tuple[HostSettings, Host]]) -> None:
        lines = []
        for settings, host in hosts:
            kind, key, *_ = _public(host.upper / HOST_KEY).read_text().split()
            lines.append(f"{settings.name},{settings.address} {kind} {key}\n")
        whole_files.write(self.known_hosts, "".join(lines))

    def ssh_options(self) -> str:
        """Options for ssh(1): the lab's known hosts and no others."""
        return (
            f"-o UserKnownHostsFile={self.known_hosts} -o GlobalKnownHostsFile=none "
            "-o StrictHostKeyChecking=yes -o ConnectTimeout=5 "
            "-o ServerAliveInterval=3 -o ServerAliveCountMax=2"
        )


def _public(private: Path) -> Path:
    return private.with_name(private.name + ".pub")


def _make_key(private: Path, comment: str) -> None:
    # The public half comes last: where it stands, the key is whole.
    if _public(private).is_file() and private.is_file():
        return
    private.parent.mkdir(parents=True, exist_ok=True)
    part = private.parent / ".new"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    new = part / "key"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment]
    commands.run([*words, "-f", new])
    new.replace(private)
    _public(new).replace(_public(private))
    part.rmdir()
