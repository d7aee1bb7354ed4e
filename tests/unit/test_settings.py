"""How wrong settings are told: the text is interface, so it stands here in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from components import setting_texts
from components.setting_types import Decimal, DnsLabel, ModelName, PathPrefix, Whole
from components.settings import ABSENT, Problem, Settings, SettingsError, parse


class Hive(Settings):
    """A hive."""

    bees: Annotated[Whole, Field(ge=1, le=5000)] = 2
    """Bees of the hive."""
    queens: Annotated[Whole, Field(ge=1)] = 1
    """Queens among them."""
    kind: Literal["top-bar", "log"] = "log"
    """Way of building."""

    def contradictions(self) -> Iterator[Problem]:
        if self.queens > self.bees:
            yield Problem(
                "queens", self.queens, "more queens than bees", f"give {self.bees}"
            )


class Garden(Settings):
    """A garden of hives."""

    owner: str
    """Who is asked; a name."""
    hives: dict[DnsLabel, Hive] = Field(default={})
    """Hives by name."""
    beds: list[Whole] = Field(default=[])
    """Sizes of the beds, in square metres."""
    slope: Annotated[Decimal, Field(ge=0, lt=45)] = 0.0
    """Slope, in degrees."""
    fenced: bool = True
    """Whether it has a fence."""
    gate: PathPrefix | None = None
    """The gate's path."""


GOLDEN = """\
garden.yaml: 9 problems, nothing was touched
  owner: (absent)
    reason: it is required
    fix: set it: Who is asked; a name
  hives.north.bees: 9000
    reason: it is more than 5000
    fix: give a number from 1 to 5000
  hives.north.kind: 'topbar'
    reason: it is not one of the choices
    fix: did you mean top-bar? give one of: top-bar, log
  hives.north.bee: 3
    reason: there is no such setting
    fix: did you mean bees?
  hives.south.queens: 7
    reason: more queens than bees
    fix: give 2
  beds.1: 'wide'
    reason: it is not a whole number
    fix: give a whole number
  slope: 'steep'
    reason: it is not a number
    fix: give a number of at least 0 and below 45
  fenced: 'maybe'
    reason: it is neither true nor false
    fix: give true or false
  gate: 'left'
    reason: not a path prefix
    fix: give one like /employment/v1: a leading slash, no trailing one, letters, \
digits and . _ ~ - between slashes"""


def test_all_problems_are_reported_at_once_with_path_value_reason_and_fix() -> None:
    raw = {
        "hives": {
            "north": {"bees": 9000, "kind": "topbar", "bee": 3},
            "south": {"queens": 7},
        },
        "beds": [2, "wide"],
        "slope": "steep",
        "fenced": "maybe",
        "gate": "left",
    }
    with pytest.raises(SettingsError) as caught:
        parse(Garden, raw, "garden.yaml")
    assert str(caught.value) == GOLDEN
    assert caught.value.where == "garden.yaml"


def refusal(**raw: object) -> Problem:
    with pytest.raises(SettingsError) as caught:
        parse(Garden, {"owner": "Ada", **raw}, "here")
    (problem,) = caught.value.problems
    return problem


def test_one_problem_is_not_called_problems() -> None:
    with pytest.raises(SettingsError, match=r"^here: 1 problem, nothing was touched"):
        parse(Garden, {}, "here")


def test_the_value_of_a_missing_setting_is_absent() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(Garden, {}, "here")
    assert caught.value.problems[0].value is ABSENT


def test_a_key_of_a_mapping_is_reported_by_its_path() -> None:
    problem = refusal(hives={"North_1": {}})
    assert problem.path == "hives.North_1"
    assert problem.reason == "not a valid Kubernetes name"


def test_a_long_value_is_cut_short() -> None:
    problem = refusal(fenced="x" * 5000)
    assert len(str(problem)) < 300
    assert "..." in str(problem)


def test_braces_of_a_value_are_no_template() -> None:
    assert refusal(gate="{model}").value == "{model}"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"slope": 45}, "it is not less than 45"),
        ({"slope": -1}, "it is less than 0"),
        ({"slope": float("inf")}, "it is not a number"),
        ({"slope": True}, "it is true or false, but a number is required"),
        ({"beds": {"a": 1}}, "it is not a list"),
        ({"hives": []}, "it is not a mapping"),
        ({"hives": {"a": None}}, "it is not a mapping"),
        ({"owner": 5}, "it is not text"),
        ({"gate": "/"}, "not a path prefix"),
        ({"gate": "/a" * 150}, "it is longer than 200 characters"),
        ({"beds": [1.5]}, "it is not a whole number"),
    ],
)
def test_reasons(raw: dict[str, object], reason: str) -> None:
    assert refusal(**raw).reason == reason


@pytest.mark.parametrize("text", ["2", "2.0", 2, 2.0])
def test_the_engine_gives_numbers_as_text(text: object) -> None:
    assert parse(Hive, {"bees": text}, "here").bees == 2


def test_settings_are_frozen() -> None:
    hive = Hive()
    with pytest.raises(ValidationError, match="frozen"):
        hive.bees = 3  # type: ignore[misc]


class Apiary(Hive):
    """Inherits a text, has another, and an alias."""

    queens: int = 1
    """Of all hives,
    together.
    """
    until: int = Field(alias="from", default=1)
    """The first year."""
    silent: int = 0


def test_fields_are_described_by_the_text_below_them() -> None:
    texts = setting_texts.of(Apiary)
    assert texts["bees"] == "Bees of the hive."
    assert texts["queens"] == "Of all hives,\ntogether."
    assert "silent" not in texts
    properties = Apiary.model_json_schema()["properties"]
    described = {name: it.get("description") for name, it in properties.items()}
    assert described["bees"] == "Bees of the hive."
    assert described["from"] == "The first year."
    assert described["silent"] is None


def test_no_source_is_read_before_a_text_is_asked_for() -> None:
    assert Apiary.model_fields["bees"].description is None


def test_a_class_without_source_has_no_texts() -> None:
    made: dict[str, Any] = {"Settings": Settings, "__name__": "nowhere"}
    exec("class Bare(Settings):\n    a: int = 1\n    'A.'", made)
    assert setting_texts.of(made["Bare"]) == {}


def test_made_by_hand_they_are_checked_too() -> None:
    with pytest.raises(ValidationError, match="more queens than bees, give 2"):
        Hive(queens=3)


class Named(Settings):
    """Only a name."""

    name: ModelName
    """Its name."""


@pytest.mark.parametrize("name", ["a", "a-1", "a" * 40])
def test_names_that_are_taken(name: str) -> None:
    assert Named(name=name).name == name


@pytest.mark.parametrize("name", ["", "1a", "a-", "A", "a.b", "a_b", "a" * 41, "a\n"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Named(name=name)


class Round(Settings):
    """A kind of thing."""

    kind: Literal["round"]
    radius: Annotated[Whole, Field(ge=1)]


class Square(Settings):
    """Another kind of thing."""

    kind: Literal["square"]
    side: Annotated[Whole, Field(ge=1)] = 1

    def contradictions(self) -> Iterator[Problem]:
        if self.side == 13:
            yield Problem("side", self.side, "it is unlucky", "give 12")


class Things(Settings):
    """Things of several kinds by name."""

    things: dict[DnsLabel, Annotated[Round | Square, Field(discriminator="kind")]] = (
        Field(default={})
    )


@pytest.mark.parametrize(
    ("thing", "wanted"),
    [
        ({"kind": "round"}, ("radius", ABSENT, "required", "set it")),
        ({"kind": "round", "radius": 0}, ("radius", 0, "less than 1", "at least 1")),
        ({"kind": "square", "side": 13}, ("side", 13, "unlucky", "give 12")),
        ({"kind": "square", "sid": 1}, ("sid", 1, "no such", "did you mean side?")),
        ({"kind": "squere"}, ("kind", "squere", "not one of", "did you mean square?")),
        ({"side": 2}, ("kind", ABSENT, "required", "give one of: round, square")),
        (3, ("", 3, "not a mapping", "pairs")),
    ],
)
@pytest.mark.parametrize("name", ["thing", "round"])
def test_a_thing_of_several_kinds_is_named_as_the_file_has_it(
    thing: Any, wanted: tuple[str, Any, str, str], name: str
) -> None:
    """Pydantic's own path has the kind in it; the file has not."""
    path, value, reason, fix = wanted
    with pytest.raises(SettingsError) as caught:
        parse(Things, {"things": {name: thing}}, "here")
    [problem] = caught.value.problems
    assert problem.path == ".".join(filter(None, ["things", name, path]))
    assert problem.value == value
    assert reason in problem.reason
    assert fix in problem.fix
