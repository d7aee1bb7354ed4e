"""The arrows between the parts point one way (docs/architecture.md)."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from slipway.rendering.render import render
from tests.support.rendered import IMAGES
from toolchain import paths

COMPONENTS = paths.ROOT / "components"
POD_DEFAULTS = COMPONENTS / "security" / "pod_defaults.py"
ALLOWED: dict[str, set[str]] = {
    "toolchain": {"toolchain"},
    "components": {"components", "toolchain"},
    "stacks": {"stacks", "components", "toolchain"},
    "lab": {"lab", "toolchain"},
    "slipway": {"slipway", "stacks", "components", "lab", "images", "toolchain"},
    "images": {"images", "bounded_http", "pod_parts"},
    "bounded_http": {"bounded_http"},
    "pod_parts": {"pod_parts"},
    "models": {"models"},
    "devtools": {"devtools", "slipway", "toolchain"},
    "benchmarks": {"benchmarks", "lab", "slipway", "images", "toolchain"},
    "examples": {"examples", "components", "lab", "slipway", "toolchain"},
    "docs": {
        *["docs", "components", "slipway", "stacks", "images", "playbooks", "toolchain"]
    },
    "playbooks": {"playbooks"},
}
"""Whom each part may import; nothing but tests imports tests."""
PARTS = {*ALLOWED, "tests"}
PROVIDERS = ("pulumi_kubernetes", "pulumi_aws")
PULUMI_UP = ("stacks/__main__.py", "slipway.engine.pulumi_up")
"""The entry of `pulumi up`, which nothing imports, has slipway ask the cluster first,
as the entry of `slipway up` does."""

LAB_FOR_SLIPWAY = {"lab.settings"}
"""The lab's facts: ports and names. Only `slipway local` brings a lab up."""
INSIDE_SLIPWAY: dict[str, set[str]] = {
    "catalog": set(),
    "cost": set(),
    "images": {"ledger"},
    "rendering": set(),
    "compose": {"rendering"},
    "bench": {"cluster", "engine"},
    "ledger": {"logs"},
    "local": {"images", "engine"},
    "optimize": {"images", "ledger"},
    "policy": {"cost", "rendering"},
    "policy_pack": {"engine", "policy", "rendering"},
    "preview": {"cost", "policy", "rendering"},
    "replay": {"optimize"},
}
"""Folders of slipway/ that work without the others, but for those named."""
STACKS_FOR_SLIPWAY = {
    f"stacks.{part}"
    for part in ("config", "files", "groups", "layers", "others", "values")
}
"""Slipway runs a stack's program by its name and imports none."""


def files(part: str) -> list[Path]:
    return sorted((paths.ROOT / part).rglob("*.py"))


@functools.cache
def imported(file: Path) -> tuple[str, ...]:
    """Full names of the modules that a file imports, inside functions too."""
    return tuple(_imported(file))


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(part: str) -> set[tuple[str, str]]:
    """(file, module) of every import of one of our own parts."""
    return {
        (str(file.relative_to(paths.ROOT)), name)
        for file in files(part)
        for name in imported(file)
        if name.partition(".")[0] in PARTS
    }


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_those_below_it(part: str) -> None:
    wrong = {
        (file, name)
        for file, name in imports(part)
        if name.partition(".")[0] not in ALLOWED[part] and (file, name) != PULUMI_UP
    }
    assert wrong == set()


def test_contributors_are_shown_the_same() -> None:
    page = (paths.ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"(?m)^\| `(\w+)/` \|[^|]*\|([^|]*)\|$", page)
    shown = {part: set(re.findall(r"`(\w+)`", may)) | {part} for part, may in rows}
    for without in ("ci", "contracts", "findings", "policies", "tests"):
        del shown[without]
    assert shown == ALLOWED


def test_the_lab_is_at_the_top() -> None:
    """Rendering, previews and stacks work where no lab can run."""
    of_lab = {
        (file, ".".join(name.split(".")[:2]))
        for file, name in imports("slipway")
        if name.partition(".")[0] == "lab"
    }
    users = {file for file, name in of_lab if name not in LAB_FOR_SLIPWAY}
    assert {file.rpartition("/")[0] for file in users} == {"slipway/local"}


@pytest.mark.parametrize("folder", INSIDE_SLIPWAY)
def test_a_folder_of_slipway_works_without_most_others(folder: str) -> None:
    """Who renders waits for no engine, and who compares costs needs no lab."""
    folders = {path.name for path in (paths.ROOT / "slipway").iterdir()}
    found = {
        name.split(".")[1]
        for _, name in imports(f"slipway/{folder}")
        if name.startswith("slipway.")
    }
    assert found & folders <= INSIDE_SLIPWAY[folder] | {folder}


def test_nothing_of_slipway_imports_what_drives_the_lab() -> None:
    found = {
        file
        for part in ALLOWED
        for file, name in imports(part)
        if name.startswith("slipway.local.") and not file.startswith("slipway/local/")
    }
    assert found == set()


def test_the_environment_is_made_with_the_standard_library_alone() -> None:
    """`make environment` and `make clean` run where no package is installed."""
    code = "import devtools.environment, devtools.clean"
    subprocess.run([sys.executable, "-S", "-c", code], cwd=paths.ROOT, check=True)


def test_the_page_says_what_is_in_each_folder() -> None:
    page = (paths.ROOT / "docs" / "architecture.md").read_text()
    shown = re.findall(r"(?m)^\| `((?:components|slipway)/[\w/]+)/` \| .+ \|$", page)
    there = {
        str(file.parent.relative_to(paths.ROOT))
        for part, depth in (("components", ("*", "*/*")), ("slipway", ("*",)))
        for pattern in depth
        for file in (paths.ROOT / part).glob(f"{pattern}/__init__.py")
    }
    assert sorted(shown) == sorted(there)


def modules() -> dict[str, Path]:
    """Our own modules by their full names."""
    found = {}
    for part in ALLOWED:
        for file in files(part):
            name = ".".join(file.relative_to(paths.ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = file
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Neither at run time nor for their annotations."""
    known = modules()
    graph = {
        module: {
            name if name in known else name.rpartition(".")[0]
            for name in imported(file)
        }
        & known.keys() - {module}
        for module, file in known.items()
    }
    assert len(graph) > 300
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("part", ["components", "slipway"])
def test_no_folders_import_each_other_in_a_circle(part: str) -> None:
    """A folder may share a base with its subfolders; its siblings import one way."""
    known = modules()
    graph: dict[Path, set[Path]] = {}
    for file in files(part):
        folder = file.parent
        names = {name for it in imported(file) for name in (it, it.rpartition(".")[0])}
        targets = {known[name].parent for name in names & known.keys()}
        graph.setdefault(folder, set()).update(
            it
            for it in targets - {folder}
            if it not in folder.parents and folder not in it.parents
        )
    assert len(graph) > 15
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(str(it) for it in reversed(error.args[1])))


def test_slipway_loads_stacks_by_name_only() -> None:
    found = {
        ".".join(name.split(".")[:2])
        for _, name in imports("slipway")
        if name.startswith("stacks")
    }
    assert found <= STACKS_FOR_SLIPWAY


def test_components_read_no_configuration_of_pulumis() -> None:
    """They are given their arguments; `pulumi.Config` is for stacks.config alone."""
    for part in ("components", "stacks"):
        for file in files(part):
            if file == paths.ROOT / "stacks" / "config.py":
                continue
            text = file.read_text()
            assert "pulumi.Config" not in text, file
            assert "runtime.config" not in text, file


def provider_args(source: str) -> set[str]:
    """Return the arguments classes of a provider's package that a program names."""
    tree = ast.parse(source)
    bound = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(it.name, it.asname or it.name) for it in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(f"{node.module}.", it.asname or it.name) for it in node.names]
        else:
            continue
        bound |= {name.split(".")[0] for it, name in names if it.startswith(PROVIDERS)}
    chains = {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name)
    }
    return {
        it for it in chains if it.endswith("Args") and it.partition(".")[0] in bound
    }


def test_manifests_are_plain_dicts() -> None:
    """One form for all: what a test reads and what the API server gets is the same."""
    for source in (
        "import pulumi_kubernetes as k\nk.core.v1.PodSpecArgs(containers=[])",
        "from pulumi_kubernetes.core import v1 as core\nf = core.ProbeArgs",
        "from pulumi_aws.s3 import BucketGrantArgs as GrantArgs\nGrantArgs(a=1)",
    ):
        assert provider_args(source), source
    found = {
        str(file.relative_to(paths.ROOT)): names
        for part in ("components", "stacks", "slipway")
        for file in files(part)
        if (names := provider_args(file.read_text()))
    }
    assert found == {}


def dict_keys(source: str) -> set[str]:
    """Return the literal keys of all dicts that a program writes."""
    return {
        key.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def test_one_file_writes_security_contexts() -> None:
    """Whoever reviews the privileges of our pods reads that file alone."""
    fields = dict_keys(POD_DEFAULTS.read_text()) & {
        *("runAsNonRoot", "runAsUser", "allowPrivilegeEscalation", "privileged"),
        *("seccompProfile", "readOnlyRootFilesystem", "fsGroup"),
    }
    assert len(fields) == 7
    found = {
        str(file.relative_to(paths.ROOT)): written
        for part in ("components", "stacks", "slipway", "examples")
        for file in files(part)
        if file != POD_DEFAULTS and (written := dict_keys(file.read_text()) & fields)
    }
    assert found == {}


def test_stacks_are_wiring() -> None:
    for file in files("stacks"):
        assert len(file.read_text().splitlines()) <= 150, file


@pytest.mark.parametrize("stack", ["platform.lab", "models.lab"])
def test_every_component_has_the_type_of_its_folder_and_class(stack: str) -> None:
    """Of the folder below components/; a type is in every user's state."""
    types = {
        resource.type
        for resource in render(stack, images=IMAGES).resources
        if not resource.custom
    }
    assert types
    for type_ in types:
        project, folder, name = type_.split(":")
        assert project == "slipway"
        texts = [f.read_text() for f in (COMPONENTS / folder).rglob("*.py")]
        assert any(f"\nclass {name}(" in text for text in texts), type_


def test_every_component_registers_its_outputs() -> None:
    made = [f for f in files("components") if '"slipway:' in f.read_text()]
    assert len(made) >= 5
    for file in made:
        assert "register_outputs" in file.read_text(), file


def test_files_are_small_enough_to_be_one_thing() -> None:
    long = [
        str(file.relative_to(paths.ROOT))
        for part in PARTS
        for file in files(part)
        if len(file.read_text().splitlines()) > 400
    ]
    assert long == []
