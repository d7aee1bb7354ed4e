"""`slipway ledger mlflow`: aliases in MLflow from the ledger, and the other way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slipway.cli import cli
from slipway.ledger import keys, mlflow_export
from slipway.ledger.chain import read
from slipway.ledger.lifecycle import History
from slipway.ledger.mlflow_match import ALIASES, DIGEST_TAG, REVISION_TAG
from slipway.ledger.mlflow_server import MlflowServer
from slipway.ledger.options import default_ledger
from slipway.ledger.store import FolderStore
from tests.support import ledgers
from tests.support.mlflow_registry import MlflowRegistry

MODEL = "employment"
DIGESTS = {f"r{it}": f"sha256:{it:064x}" for it in range(1, 6)}
WHY = ("--why", "Bob moved it", "--by", "alice")


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("USERNAME", "PASSWORD", "TOKEN", "URI"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    keys.make(keys.default_key())


@pytest.fixture
def registry() -> Iterator[MlflowRegistry]:
    """Versions 1 to 3 are r1 to r3 by their digests; 4 has no tag."""
    tags = {str(it): {DIGEST_TAG: DIGESTS[f"r{it}"]} for it in (1, 2, 3)}
    with MlflowRegistry(tags=tags | {"4": {}}) as running:
        yield running


def write(*moves: str) -> None:
    """`r1 canary` as entries of the ledger; a name alone registers it."""
    ledger = ledgers.ledger(default_ledger())
    for move in moves:
        revision, _, to = move.partition(" ")
        if to:
            ledger.move(MODEL, revision, to, ledgers.WORD)
        else:
            subject = ledgers.subject(int(revision[1:]))
            ledger.register(MODEL, revision, subject, ledgers.WORD)


def history() -> History:
    return read(FolderStore(default_ledger()), MODEL).history


def states() -> dict[str, str]:
    return {it.name: it.state for it in history().revisions.values()}


def run(registry: MlflowRegistry, *words: object) -> Result:
    given = [*map(str, words), "--server", registry.address]
    return CliRunner().invoke(cli, ["ledger", "mlflow", *given])


def done(registry: MlflowRegistry, *words: object) -> list[str]:
    result = run(registry, *words)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def refused(registry: MlflowRegistry, *words: object, status: int = 2) -> str:
    result = run(registry, *words)
    assert result.exit_code == status, result.output
    assert not registry.changes
    return result.stderr


SERVING = ("r1", "r1 staged", "r1 serving")


# Export


def test_aliases_become_what_the_ledger_says(registry: MlflowRegistry) -> None:
    write(*SERVING, "r2", "r2 staged", "r2 canary", "r3", "r3 staged")
    registry.aliases = {"prod": "4", "canary": "2", "shadow": "1", "mine": "4"}
    plan = [
        "prod: version 4 (not in the ledger) -> version 1 (r1); serving since entry 3",
        "canary: version 2 (r2), as it is; canary since entry 6",
        "shadow: version 1 (r1) -> none; no revision is shadow",
        "staging: none -> version 3 (r3); staged since entry 8",
    ]
    said = done(registry, "export", MODEL, "--dry-run")
    assert said == [*plan, "3 to change; nothing was changed (--dry-run)"]
    assert not registry.changes
    assert done(registry, "export", MODEL, "--yes") == [
        *plan,
        "prod: set to version 1",
        "shadow: deleted",
        "staging: set to version 3",
    ]
    assert registry.aliases == {
        "prod": "1",
        "canary": "2",
        "mine": "4",
        "staging": "3",
    }
    registry.asked.clear()
    assert done(registry, "export", MODEL)[-1] == "nothing to change"
    assert not registry.changes


def test_a_plan_is_not_carried_out_without_a_yes(registry: MlflowRegistry) -> None:
    write(*SERVING, "r2", "r2 staged")
    for words in (("export", MODEL), ("import", MODEL, *WHY)):
        registry.aliases = {"prod": "2"}
        before = states()
        result = run(registry, *words)
        assert result.exit_code == 2
        assert "-> " in result.stdout
        assert "there is no terminal to confirm on: give --yes" in result.stderr
        assert states() == before
        assert not registry.changes


def test_the_alias_names_who_entered_the_state_last(registry: MlflowRegistry) -> None:
    write(*SERVING, "r2", "r2 staged", "r2 serving")
    said = done(registry, "export", MODEL, "--yes", "--alias", "serving=champion")
    assert said[0] == (
        "champion: none -> version 2 (r2); serving since entry 6, after r1"
    )
    write("r2 staged")
    done(registry, "export", MODEL, "--yes", "--alias", "serving=champion")
    assert registry.aliases == {"champion": "1"}
    # r2 has been in use, and does not wait.
    assert done(registry, "export", MODEL, "--alias", "staged=next") == [
        "next: none, as it is; no revision waits",
        "nothing to change",
    ]


def test_of_versions_with_one_digest_the_present_one_stays(
    registry: MlflowRegistry,
) -> None:
    registry.tags |= {it: {DIGEST_TAG: DIGESTS["r1"]} for it in ("9", "10")}
    write(*SERVING)
    done(registry, "export", MODEL, "--yes", "--alias", "serving=prod")
    assert registry.aliases == {"prod": "10"}
    registry.aliases = {"prod": "9"}
    assert done(registry, "export", MODEL)[-1] == "nothing to change"


def test_versions_on_many_pages_are_found(registry: MlflowRegistry) -> None:
    registry.page = 1
    write(*SERVING)
    done(registry, "export", MODEL, "--yes")
    assert registry.aliases == {"prod": "1"}
    pages = [it for it in registry.asked if it[1] == "model-versions/search"]
    assert len(pages) == 4


def test_an_alias_of_a_strange_version_is_not_deleted(registry: MlflowRegistry) -> None:
    write("r1")
    registry.aliases = {"prod": "4", "canary": "3"}
    said = done(registry, "export", MODEL)
    assert said[0] == (
        "prod: version 4 (not in the ledger), left as it is; no revision is serving"
    )
    assert said[-1] == "nothing to change"


def test_a_revision_without_a_version_stops_the_export(
    registry: MlflowRegistry,
) -> None:
    write(*SERVING, "r5", "r5 staged", "r5 canary")
    assert refused(registry, "export", MODEL, "--yes") == (
        "error: employment: nothing was exported:\n"
        "  canary: r5 is canary, and no version in MLflow has the tag slipway.digest="
        f"{DIGESTS['r5']}; set it: slipway ledger mlflow link employment r5 VERSION\n"
    )


# Import


def test_differences_become_entries(registry: MlflowRegistry) -> None:
    write(*SERVING, "r2", "r2 staged", "r3")
    registry.aliases = {"prod": "2", "staging": "3", "mine": "4"}
    plan = [
        "prod: version 2 is r2: staged -> serving",
        "staging: version 3 is r3: registered -> staged",
        "canary: not set in MLflow",
        "shadow: not set in MLflow",
    ]
    before = states()
    keys.default_key().rename(keys.default_key().with_suffix(".away"))
    said = done(registry, "import", MODEL, *WHY, "--dry-run")
    assert said == [*plan, "2 to change; nothing was changed (--dry-run)"]
    assert states() == before
    keys.default_key().with_suffix(".away").rename(keys.default_key())
    said = done(registry, "import", MODEL, *WHY, "--approved-by", "bob", "--yes")
    assert said[:4] == plan
    assert [it.rpartition(":")[0] for it in said[4:]] == [
        "employment r2: serving, entry 7",
        "employment r3: staged, entry 8",
    ]
    assert states() == {"r1": "serving", "r2": "serving", "r3": "staged"}
    entry = read(FolderStore(default_ledger()), MODEL).entries[6]
    assert (entry.actor, entry.details["approvals"]) == ("alice", ["bob"])
    assert entry.details["reason"] == (
        f"Bob moved it (MLflow {registry.address}: alias prod of version 2 of "
        "employment)"
    )
    said = done(registry, "import", MODEL, *WHY)
    assert said[0] == "prod: version 2 is r2, serving as it is"
    assert said[-1] == "nothing to change"
    assert not registry.changes


def test_a_way_back_in_mlflow_is_one_in_the_ledger(registry: MlflowRegistry) -> None:
    write(*SERVING, "r2", "r2 staged", "r2 serving")
    registry.aliases = {"prod": "1"}
    said = done(registry, "import", MODEL, *WHY, "--yes")
    assert said[0] == "prod: version 1 is r1 again; r2: serving -> staged"
    assert states() == {"r1": "serving", "r2": "staged"}
    assert history().revisions["r2"].newest.action == "revision_taken_back"
    assert done(registry, "export", MODEL)[-1] == "nothing to change"


@pytest.mark.parametrize("first", ["1", "2", "3"])
@pytest.mark.parametrize("then", ["1", "2", "3"])
def test_after_an_import_an_export_changes_nothing(
    registry: MlflowRegistry, first: str, then: str
) -> None:
    for number in "123":
        write(f"r{number}", f"r{number} staged")
    for number in (first, then):
        registry.aliases = {"prod": number}
        result = run(registry, "import", MODEL, *WHY, "--yes")
        assert result.exit_code == 0, result.output
        with MlflowServer(registry.address) as server:
            targets = mlflow_export.plan(
                history(),
                {"serving": "prod"},
                registry.aliases,
                server.versions(MODEL),
            )
        assert not [it for it in targets if it.differs]


def test_a_version_may_have_the_alias_of_an_earlier_state_too(
    registry: MlflowRegistry,
) -> None:
    write(*SERVING)
    registry.aliases = {"prod": "1", "staging": "1"}
    assert done(registry, "import", MODEL, *WHY)[-1] == "nothing to change"


def test_what_the_ledger_cannot_follow_is_said_together(
    registry: MlflowRegistry,
) -> None:
    write("r1", "r2", "r2 staged", "r2 retired")
    registry.aliases = {"prod": "1", "canary": "4", "shadow": "3", "staging": "2"}
    assert refused(registry, "import", MODEL, *WHY, "--yes") == (
        "error: employment: nothing was imported:\n"
        "  canary: version 4 has no tag slipway.digest; set it: slipway ledger mlflow "
        "link employment REVISION 4\n"
        "  shadow: the ledger has no revision of employment with the digest "
        f"{DIGESTS['r3']} of version 3 (it has: r1, r2); register it first: `slipway "
        "ledger register`\n"
        "  prod: version 1 is r1, and registered to serving is not an allowed "
        "transition; stage it first: `slipway ledger stage`\n"
        "  staging: version 2 is r2, and retired to staged is not an allowed "
        "transition; register a new revision; a retired one does not come back\n"
    )
    write("r1 staged")
    registry.aliases = {"prod": "1", "canary": "1"}
    assert "prod, canary: both name r1, which has one state" in (
        refused(registry, "import", MODEL, *WHY, "--yes")
    )
    assert states() == {"r1": "staged", "r2": "retired"}


def test_a_blank_reason_is_none(registry: MlflowRegistry) -> None:
    write("r1")
    registry.aliases = {"staging": "1"}
    blank = ("--why", " ", "--yes")
    assert "say it with --why" in refused(registry, "import", MODEL, *blank)


# Links


def test_a_version_is_linked_once(registry: MlflowRegistry) -> None:
    write("r1", "r5")
    digest = DIGESTS["r5"]
    words = ("link", MODEL, "r5", "4")
    assert done(registry, *words, "--dry-run") == [
        f"slipway.digest: would be {digest}",
        "slipway.revision: would be r5",
    ]
    assert not registry.changes
    assert done(registry, *words)[0] == f"slipway.digest: set to {digest}"
    assert registry.tags["4"] == {DIGEST_TAG: digest, REVISION_TAG: "r5"}
    registry.asked.clear()
    assert done(registry, *words)[1] == "slipway.revision: r5, as it is"
    assert f"slipway.digest: {digest}, and r1 has" in (
        refused(registry, "link", MODEL, "r1", "4")
    )
    assert "has no revision r7 in the ledger (it has: r1, r5)" in (
        refused(registry, "link", MODEL, "r7", "4")
    )
    assert "version=77) not found" in (
        refused(registry, "link", MODEL, "r5", "77", status=1)
    )


def test_files_without_an_image_have_a_digest_too(registry: MlflowRegistry) -> None:
    files = [{"path": "model.onnx", "sha256": "a" * 64}]
    ledger = ledgers.ledger(default_ledger())
    ledger.register(MODEL, "r1", {"files": files}, ledgers.WORD)
    done(registry, "link", MODEL, "r1", "4")
    text = f'[{{"path":"model.onnx","sha256":"{"a" * 64}"}}]'
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    assert registry.tags["4"][DIGEST_TAG] == f"sha256:{sha256}"


def test_one_digest_of_two_revisions_needs_the_name(registry: MlflowRegistry) -> None:
    write("r1")
    ledger = ledgers.ledger(default_ledger())
    ledger.register(MODEL, "r1-again", ledgers.subject(1), ledgers.WORD)
    registry.aliases = {"staging": "1"}
    assert "the revisions r1, r1-again have its digest; say which it is" in (
        refused(registry, "import", MODEL, *WHY, "--yes")
    )
    registry.tags["1"][REVISION_TAG] = ""  # as good as none
    done(registry, "link", MODEL, "r1-again", "1")
    registry.asked.clear()
    done(registry, "import", MODEL, *WHY, "--yes")
    assert states() == {"r1": "registered", "r1-again": "staged"}
    registry.tags["1"][REVISION_TAG] = "r4"
    assert (
        "has the tag slipway.revision=r4, and its digest is that of r1, r1-again"
        in (refused(registry, "import", MODEL, *WHY, "--yes"))
    )


# Words


def test_names_differ_by_option(registry: MlflowRegistry) -> None:
    write(*SERVING)
    registry.name = "Employment (US)"
    words = ("export", MODEL, "--yes", "--registered-model", registry.name)
    done(registry, *words)
    assert registry.aliases == {"prod": "1"}
    assert registry.changes[0][2]["name"] == registry.name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--alias", "served=prod"), "'served=prod' is not STATE=ALIAS"),
        (("--alias", "serving=Latest"), "is neither `latest` nor `v` with a number"),
        (("--alias", "serving=V7"), "is neither `latest` nor `v` with a number"),
        (("--alias", "serving=a b"), "has letters, digits, _ and -"),
        (("--alias", "serving=a", "--alias", "canary=a"), "a second time"),
        (("--alias", "serving=a", "--alias", "serving=b"), "a second time"),
        (("--registered-model", "it's"), "it has no quotes, slashes or colons"),
    ],
)
def test_wrong_words(
    registry: MlflowRegistry, words: tuple[str, ...], said: str
) -> None:
    write("r1")
    assert said in refused(registry, "export", MODEL, *words)
    assert not registry.asked


def test_the_default_aliases_are_ones_that_mlflow_takes() -> None:
    assert ALIASES == {
        "serving": "prod",
        "canary": "canary",
        "shadow": "shadow",
        "staged": "staging",
    }


def test_a_ledger_without_the_model_changes_no_alias(registry: MlflowRegistry) -> None:
    registry.aliases = {"prod": "1"}
    said = refused(registry, "export", MODEL, "--yes", status=1)
    assert "there are no entries of employment; give the right --ledger" in said
