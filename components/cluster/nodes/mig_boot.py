"""MIG slices at each boot: they end with the boot, and cloud-init's scripts run once.

The user data installs a unit that cuts the slices, compares what the driver then lists
with what the pool says, and fails if they differ. The kubelet requires the unit. So a
node with other slices takes no pods: it stays NotReady, which EKS's node repair and
Karpenter see, and the reason is in the journal and on the console.
https://docs.nvidia.com/datacenter/tesla/mig-user-guide/ (persistence)
"""

from __future__ import annotations

PROGRAM = "/usr/local/sbin/slipway-mig"
UNIT = "slipway-mig.service"
UNITS = "/etc/systemd/system"
REQUIRED_BY = f"{UNITS}/kubelet.service.d/20-slipway-mig.conf"


def program(profile: str, instances: int) -> str:
    """The program that cuts and compares; `instances` slices of `profile` a GPU."""
    slices = ",".join([profile] * instances)
    return f"""\
#!/usr/bin/env bash
# Cuts every GPU into {instances} MIG slices {profile}; fails if there are others then.
set -euo pipefail

wanted() {{
  nvidia-smi --query-gpu=index --format=csv,noheader |
    awk '{{ print "GPU " $1; for (i = 0; i < {instances}; i++) print "MIG {profile}" }}'
}}

present() {{
  nvidia-smi --list-gpus | awk '
    /^GPU [0-9]+:/ {{ sub(":", "", $2); print "GPU " $2 }}
    /^ +MIG / {{ print "MIG " $2 }}'
}}

is_off() {{
  nvidia-smi --query-gpu=mig.mode.current --format=csv,noheader |
    awk '!/Enabled/ {{ off = 1 }} END {{ exit !off }}'
}}

# Without the driver both lists would be empty, and equal. As above, all is read: with
# pipefail, what writes to a reader that has ended fails.
nvidia-smi --list-gpus | awk '/^GPU / {{ found = 1 }} END {{ exit !found }}'

if [ "$(present)" != "$(wanted)" ]; then
  nvidia-smi --multi-instance-gpu=1
  # With a program on a GPU the mode only comes with a reset.
  if is_off; then nvidia-smi --gpu-reset; fi
  # None at a fresh boot: then there is nothing to destroy, which is an error.
  nvidia-smi mig --destroy-compute-instance || true
  nvidia-smi mig --destroy-gpu-instance || true
  nvidia-smi mig --create-gpu-instance {slices} --default-compute-instance
fi
if [ "$(present)" != "$(wanted)" ]; then
  echo "slipway-mig: the slices are not {instances} of {profile} on each GPU:" >&2
  nvidia-smi --list-gpus >&2
  exit 1
fi
"""


def unit() -> str:
    """The unit, which runs at each boot before the kubelet."""
    return f"""\
[Unit]
Description=MIG slices of this node's GPUs
After=nvidia-kmod-load.service nvidia-fabricmanager.service nvidia-persistenced.service
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={PROGRAM}
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""


def requirement() -> str:
    """Return the drop-in that makes the kubelet wait for the unit, and fail with it."""
    return f"[Unit]\nRequires={UNIT}\nAfter={UNIT}\n"


def script(profile: str, instances: int) -> str:
    """The user data's script, which runs at the first boot only."""
    return f"""\
#!/usr/bin/env bash
set -euo pipefail
{_file(PROGRAM, program(profile, instances), "0755")}
{_file(f"{UNITS}/{UNIT}", unit(), "0644")}
{_file(REQUIRED_BY, requirement(), "0644")}
systemctl daemon-reload
systemctl enable --now {UNIT}
"""


def _file(path: str, content: str, mode: str) -> str:
    return f"""\
install -D --mode={mode} /dev/stdin {path} <<'SLIPWAY'
{content.rstrip()}
SLIPWAY"""
