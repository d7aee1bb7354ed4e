"""What a failed run says: golden, because the text is what the operator acts on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from slipway.engine import summary
from slipway.engine.results import EngineError, StackResult, describe
from slipway.progress import clean, label

TYPES = "slipway:serving:ModelServer$kubernetes:apps/v1:Deployment"
URN = f"urn:pulumi:models.lab::slipway::{TYPES}::employment"


def test_a_failed_up() -> None:
    error = EngineError(
        "models.lab",
        "up",
        [(URN, "2 errors occurred:\n\t* one\n\t* two"), ("", "something else")],
        changes={"create": 12, "update": 1, "same": 3},
        seconds=12.34,
    )
    assert str(error) == (
        "models.lab: up failed after 12.3 s\n"
        "  Deployment employment: 2 errors occurred:\n"
        "    * one\n"
        "    * two\n"
        "  something else\n"
        "Done before that, and recorded: 12 created, 1 updated.\n"
        "To go on where it stopped: slipway up models.lab\n"
        "To delete what was created: slipway destroy models.lab"
    )


def test_a_failed_preview() -> None:
    error = EngineError("models.lab", "preview", [("", "no")], seconds=1)
    assert str(error) == (
        "models.lab: preview failed after 1.0 s\n  no\nNothing was changed."
    )


def test_an_interrupted_destroy_of_a_cluster_that_is_gone() -> None:
    error = EngineError(
        "models.lab",
        "destroy",
        [(URN, "configured Kubernetes cluster is unreachable: refused")],
        seconds=0.5,
        interrupted=True,
    )
    assert str(error) == (
        "models.lab: destroy was interrupted after 0.5 s\n"
        "  Deployment employment: configured Kubernetes cluster is unreachable: "
        "refused\n"
        "Done before that, and recorded: nothing.\n"
        "The cluster does not answer: check that it is running and that "
        "`cluster.kubeconfig` of the stack file is the right one. For the lab: slipway "
        "local status.\n"
        "To go on where it stopped: slipway destroy models.lab"
    )


def test_changes_in_words() -> None:
    changes = {"same": 4, "delete": 1, "replace": 2}
    assert describe(changes) == "2 replaced, 1 deleted, 4 unchanged"
    assert describe({}) == ""


def test_names_and_texts_of_the_engine() -> None:
    assert label(URN) == "Deployment employment"
    assert label("pulumi") == "pulumi"
    assert clean("<{%fg 1%}>error: <{%reset%}>no\n") == "error: no"


def test_the_summary_says_when_nothing_changed() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100)
    summary.table("up", [StackResult("a.b", "up", {"same": 3}, 1)], console=console)
    assert out.getvalue().endswith("Nothing changed.\n")
    summary.table("up", [StackResult("a.b", "up", {"create": 3}, 1)], console=console)
    assert out.getvalue().count("Nothing changed.") == 1


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ('not created: namespaces "models" not found', "slipway up --refresh"),
        ('deployments.apps "a-b" not found', "slipway up --refresh"),
        (
            "Server-Side Apply field conflict detected. See",
            "another state, created that",
        ),
    ],
)
def test_objects_that_others_made_or_deleted_have_a_hint(said: str, fix: str) -> None:
    assert fix in str(EngineError("models.lab", "up", [(URN, said)], seconds=1))
    assert fix not in str(EngineError("models.lab", "up", [(URN, "no")], seconds=1))
