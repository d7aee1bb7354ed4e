"""Model cards against the schema that CycloneDX publishes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from devtools.release import materials
from slipway.ledger import cyclonedx, figures
from slipway.ledger.card import collect
from slipway.ledger.store import FolderStore
from slipway.ledger.subject import Given, describe
from tests.support import ledgers, model_cards
from tests.support.model_cards import ABOUT, FULL, LITTLE
from toolchain import own_venv, paths

REQUIREMENTS = paths.ROOT / "tests" / "policy" / "requirements-cyclonedx.txt"
RUN_SECONDS = 300


def errors(documents: dict[str, str]) -> dict[str, str | None]:
    """What the strict validator of CycloneDX 1.7 says of each."""
    done = subprocess.run(
        [own_venv.python(REQUIREMENTS), "-I", "-W", "ignore", materials.CHECK],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


def manifests() -> dict[str, dict[str, Any]]:
    """Models that state all, little, and each thing alone."""
    alone = {
        f"only {key}": {**LITTLE, "about": {key: value}} for key, value in ABOUT.items()
    }
    tops = ("description", "licence", "trained_on", "inputs", "metrics", "digests")
    alone |= {f"only {key}": {**LITTLE, key: FULL[key]} for key in tops}
    check = {"measure": "speed", "part": "1 row", "value": 1.2, "lower": 1, "upper": 2}
    derived = {"revision": "r0", "recipe": "static_int8", "checks": [check]}
    alone["made from another"] = {**LITTLE, "derived_from": derived}
    return {"full": FULL, "little": LITTLE, **alone}


def test_every_card_is_valid_cyclonedx(tmp_path: Path) -> None:
    more = tmp_path / "figures.json"
    more.write_text(json.dumps(model_cards.FIGURES))
    documents = {}
    for number, (name, manifest) in enumerate(manifests().items()):
        folder = model_cards.write(tmp_path / str(number), manifest)
        root = tmp_path / f"ledger-{number}"
        if name == "full":
            image = ledgers.subject()["image"]
            revision, subject = describe(
                Given("employment", folder=folder, image=image)
            )
            ledgers.ledger(root).register("employment", revision, subject, ledgers.WORD)
        found = collect(folder, FolderStore(root), figures.of_file(more))
        documents[name] = cyclonedx.text(found)
    changed = json.loads(documents["full"])
    changed["metadata"]["component"]["modelCard"]["considerations"]["user"] = ["a"]
    said = errors(documents | {"changed": json.dumps(changed)})
    assert "'user' was unexpected" in str(said.pop("changed"))
    assert len(said) > 20
    assert {name: it for name, it in said.items() if it} == {}
