"""A cluster that Terraform or OpenTofu made, found in their state.

The state's format 4 is the one that every release since Terraform 0.12 (2019) writes:
https://github.com/hashicorp/terraform/blob/v1.11.4/internal/states/statefile/version4.go
Values that the state marks as sensitive never get into a message.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.setting_problems import nearest

FORMAT = 4
LARGEST_BYTES = 64 * 2**20
S3 = "s3://"
CLUSTER = "aws_eks_cluster"
TAINTED = "tainted"


class TerraformStateError(Exception):
    """A state that cannot be used; `reason` and `fix` say why and what to do."""

    def __init__(self, reason: str, fix: str) -> None:
        self.reason, self.fix = reason, fix
        super().__init__(f"{reason}; {fix}")


@dataclass(frozen=True)
class Value:
    """A value of the state; what is sensitive is not shown, not even by repr."""

    content: Any = field(repr=False)
    sensitive: bool = False


@dataclass(frozen=True)
class State:
    """The parts of a state in which a cluster may be found."""

    outputs: Mapping[str, Value]
    clusters: Mapping[str, Mapping[str, Value]]
    """Attributes of every current `aws_eks_cluster` by its address in Terraform;
    resources stand before data sources."""
    tainted: frozenset[str] = frozenset()
    """Addresses of those that the next `terraform apply` replaces."""
    deposed: frozenset[str] = frozenset()
    """Addresses where only what was replaced is left, and no current cluster."""
    data: frozenset[str] = frozenset()
    """Addresses of data sources."""


def load(path: str) -> State:
    """The state in a file or at `s3://bucket/key`; TerraformStateError."""
    return parse(_from_s3(path) if path.startswith(S3) else _from_file(path))


def _from_file(path: str) -> bytes:
    file = Path(path).expanduser()
    if file.name.endswith(".backup"):
        raise TerraformStateError(
            "it is Terraform's backup: the state before the last change",
            f"give {file.name.removesuffix('.backup')}",
        )
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise _too_large()
        return file.read_bytes()
    except FileNotFoundError:
        raise TerraformStateError(
            "there is no such file",
            "give the path of terraform.tfstate, or s3://<bucket>/<key>; "
            "`terraform state pull > FILE` writes it for any backend",
        ) from None
    except OSError as error:
        raise TerraformStateError(
            f"it cannot be read ({error.strerror})", "give a file that you can read"
        ) from None


def _from_s3(address: str) -> bytes:
    # The import takes a quarter of a command's start, and few stacks need it.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = address.removeprefix(S3).partition("/")
    try:
        answer = boto3.client("s3").get_object(Bucket=bucket, Key=key)
        if answer["ContentLength"] > LARGEST_BYTES:
            raise _too_large()
        content: bytes = answer["Body"].read()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        raise TerraformStateError(
            f"S3 did not return it ({code})",
            _S3_FIXES.get(code, "look at the bucket's policy and your credentials"),
        ) from None
    except BotoCoreError as error:
        raise TerraformStateError(
            f"the request to S3 failed ({type(error).__name__})",
            "check that `aws sts get-caller-identity` works here",
        ) from None
    return content


_S3_FIXES = {
    "NoSuchKey": "give the key that the backend's configuration has; with workspaces "
    "it is env:/<workspace>/<key>",
    "NoSuchBucket": "give the bucket that the backend's configuration has",
    "AccessDenied": "reading it requires s3:GetObject on the object, and kms:Decrypt "
    "on its key if the bucket is encrypted with one",
}


def _too_large() -> TerraformStateError:
    return TerraformStateError(
        f"it is larger than {LARGEST_BYTES // 2**20} MiB",
        "give a state that holds only the cluster, or a kubeconfig",
    )


def parse(content: bytes) -> State:
    """The state in a state file's content; TerraformStateError."""
    raw = _decoded(content)
    for wrong in (_encrypted, _backend_record, _shown, _other_format, _partial):
        wrong(raw)
    outputs = {
        name: Value(entry.get("value"), bool(entry.get("sensitive")))
        for name, entry in raw["outputs"].items()
    }
    instances = [
        (resource, instance)
        for resource in sorted(raw["resources"], key=lambda r: r.get("mode") == "data")
        if resource.get("type") == CLUSTER
        for instance in resource.get("instances") or []
    ]
    found = [
        (_address(resource, instance), instance) for resource, instance in instances
    ]
    # Replaced resources that could not be deleted yet have the same address.
    current = {address: one for address, one in found if not one.get("deposed")}
    return State(
        outputs,
        {address: _attributes(instance) for address, instance in current.items()},
        frozenset(a for a, one in current.items() if one.get("status") == TAINTED),
        frozenset(address for address, _ in found if address not in current),
        frozenset(_address(r, i) for r, i in instances if r.get("mode") == "data"),
    )


def _decoded(content: bytes) -> dict[str, Any]:
    if content.startswith(b"PK"):
        raise TerraformStateError(
            "it is a saved plan, not a state", "give the state: terraform.tfstate"
        )
    try:
        raw = json.loads(content)
    except ValueError:
        raise TerraformStateError(
            "it is not complete JSON: not a state, or one that is cut off",
            "`terraform state pull > FILE` writes a complete one",
        ) from None
    if not isinstance(raw, dict):
        raise TerraformStateError(
            "it is JSON, but not a state", "give terraform.tfstate"
        )
    return raw


def _encrypted(raw: Mapping[str, Any]) -> None:
    if "encrypted_data" in raw:
        raise TerraformStateError(
            "OpenTofu encrypted it, and only OpenTofu has the key",
            "`tofu state pull > FILE` writes it decrypted: keep that file out of git "
            "and delete it, or give a kubeconfig",
        )


def _backend_record(raw: Mapping[str, Any]) -> None:
    backend = raw.get("backend")
    if not isinstance(backend, Mapping):
        return
    config = backend.get("config") or {}
    where = "`terraform state pull > FILE` writes it to a file"
    if backend.get("type") == "s3" and config.get("bucket"):
        where = f"give {S3}{config['bucket']}/{config.get('key')}"
    raise TerraformStateError(
        f"it only records where the state is stored: backend {backend.get('type')}",
        where,
    )


def _shown(raw: Mapping[str, Any]) -> None:
    if "format_version" in raw:
        raise TerraformStateError(
            "it is what `terraform show -json` prints, not a state",
            "`terraform state pull > FILE` writes the state",
        )


def _other_format(raw: Mapping[str, Any]) -> None:
    version = raw.get("version")
    if version == FORMAT:
        return
    if not isinstance(version, int):
        raise TerraformStateError(
            "it is JSON, but not a state: it has no version", "give terraform.tfstate"
        )
    fix = "run `terraform apply` once with Terraform 0.12 or newer, which converts it"
    if version > FORMAT:
        fix = "give a kubeconfig until Slipway reads that format"
    raise TerraformStateError(
        f"its format is version {version}, and only {FORMAT} is supported", fix
    )


def _partial(raw: Mapping[str, Any]) -> None:
    wanted = (("outputs", dict), ("resources", list))
    missing = [n for n, kind in wanted if not isinstance(raw.get(n), kind)]
    if missing:
        raise TerraformStateError(
            f"it is only part of a state: it lacks {' and '.join(missing)}",
            "`terraform state pull > FILE` writes a complete one",
        )


def _address(resource: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    """The instance's address, as `terraform state list` has it."""
    module = f"{resource['module']}." if resource.get("module") else ""
    data = "data." if resource.get("mode") == "data" else ""
    base = f"{module}{data}{resource['type']}.{resource['name']}"
    key = instance.get("index_key")
    if key is None:
        return base
    return f"{base}[{quoted(key) if isinstance(key, str) else json.dumps(key)}]"


_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"}


def quoted(key: str) -> str:
    """A key as Terraform writes it: a quoted template of its language.

    https://developer.hashicorp.com/terraform/language/expressions/strings
    """

    def escaped(character: str) -> str:
        if character.isprintable():
            return _ESCAPES.get(character, character)
        code = ord(character)
        unicode = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        return _ESCAPES.get(character, unicode)

    text = "".join(map(escaped, key)).replace("${", "$${").replace("%{", "%%{")
    return f'"{text}"'


def _attributes(instance: Mapping[str, Any]) -> dict[str, Value]:
    secret = {
        step["value"]
        for path in instance.get("sensitive_attributes") or []
        for step in path[:1]
        if step.get("type") == "get_attr"
    }
    return {
        name: Value(value, name in secret)
        for name, value in (instance.get("attributes") or {}).items()
    }


def cluster(state: State, address: str | None) -> Mapping[str, Value]:
    """The attributes of the one EKS cluster, or of the one at the address."""
    return state.clusters[chosen(state, address)]


def chosen(state: State, address: str | None) -> str:
    """The address of the one EKS cluster, or `address` if there is one.

    A data source and a resource of one ARN are one cluster: the resource.
    """
    addresses: list[str] = []
    arns: set[Any] = set()
    for known, attributes in state.clusters.items():
        arn = attributes.get("arn", Value(None)).content
        if not (arn in arns and known in state.data):
            addresses.append(known)
        arns.add(arn)
    if address:
        if address not in state.clusters:
            raise _not_there(state, address)
        return address
    if not addresses:
        raise _none(state)
    if len(addresses) > 1:
        names = [
            f"{known} (tainted)" if known in state.tainted else known
            for known in sorted(addresses)
        ]
        raise TerraformStateError(
            f"there are several EKS clusters in the state: {', '.join(names)}",
            "set terraform.address to one of them",
        )
    return addresses[0]


def _not_there(state: State, address: str) -> TerraformStateError:
    known = sorted(state.clusters)
    if address in state.deposed:
        return _only_deposed(address)
    meant = nearest(address, known)
    hint = f"did you mean {meant}? " if meant else ""
    return TerraformStateError(
        f"there is no {address} in the state",
        f"{hint}EKS clusters there: {', '.join(known) or 'none'}",
    )


def _none(state: State) -> TerraformStateError:
    if state.deposed:
        return _only_deposed(min(state.deposed))
    return TerraformStateError(
        "there is no aws_eks_cluster in the state",
        "name the outputs that describe it (terraform.outputs), or give the state of "
        "the configuration that creates the cluster",
    )


def _only_deposed(address: str) -> TerraformStateError:
    return TerraformStateError(
        f"{address} has only a deposed cluster, which was to be replaced",
        "run `terraform apply`, which deletes it and creates the new one",
    )


def of_attributes(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """Name, region, endpoint and CA from an `aws_eks_cluster`'s attributes."""
    readers: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "name": ("name", str),
        "region": ("arn", lambda arn: str(arn).split(":")[3]),
        "endpoint": ("endpoint", str),
        "certificate_authority": ("certificate_authority", lambda c: c[0]["data"]),
    }
    found = {}
    for name, (attribute, read) in readers.items():
        value = attributes.get(attribute, Value(None))
        try:
            content = read(value.content) if value.content else None
        except (LookupError, TypeError):
            content = None
        if not content:
            raise TerraformStateError(
                f"the EKS cluster in the state has no {attribute}",
                "its creation did not finish: run `terraform apply`",
            )
        found[name] = Value(content, value.sensitive)
    return found


def of_outputs(state: State, names: Mapping[str, str]) -> dict[str, Value]:
    """Return the same from outputs; `names` maps each field to its output."""
    found = {}
    for name, output in names.items():
        if output not in state.outputs:
            meant = nearest(output, state.outputs)
            hint = f"did you mean {meant}? " if meant else ""
            known = ", ".join(sorted(state.outputs)) or "none"
            raise TerraformStateError(
                f"the state has no output {output!r} for {name}",
                f"{hint}outputs there: {known}",
            )
        value = state.outputs[output]
        if not isinstance(value.content, str) or not value.content:
            raise TerraformStateError(
                f"the output {output!r} for {name} is not text",
                "name an output of type string",
            )
        found[name] = value
    return found
