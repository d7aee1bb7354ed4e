"""Turns raw configuration into frozen typed settings, or reports all problems.

Configuration is parsed once, before the first resource. What is wrong is reported
together, each problem with its path, value, reason and fix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from components import setting_problems, setting_texts
from toolchain.errors import WrongInputError

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

Model = TypeVar("Model", bound=BaseModel)

ABSENT = "(absent)"
"""Stands for the value of a setting that is required and not given."""
_REFUSAL = "slipway_refusal"
_LONGEST_VALUE = 80


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what stands there, why, and what to do."""

    path: str
    value: Any
    reason: str
    fix: str

    def __str__(self) -> str:
        shown = self.value if self.value is ABSENT else _short(self.value)
        return f"  {self.path}: {shown}\n    reason: {self.reason}\n    fix: {self.fix}"


class SettingsError(WrongInputError):
    """All problems of one configuration, found before anything was touched."""

    def __init__(self, where: str, problems: list[Problem]) -> None:
        self.where = where
        self.problems = problems
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        head = f"{where}: {count}, nothing was touched"
        super().__init__("\n".join([head, *map(str, problems)]))


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys refused, fields described.

    Text under a field is its description, which components.setting_texts reads; the
    reference is made from it.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        made = handler(core_schema)
        content = handler.resolve_ref_schema(made)
        setting_texts.described(cls, content.get("properties", {}))
        return made

    def contradictions(self) -> Iterator[Problem]:
        """Report conflicts between fields that are each valid.

        Paths are relative to this object.
        """
        yield from ()

    @model_validator(mode="after")
    def _no_contradictions(self) -> Settings:
        if found := list(self.contradictions()):
            raise _refusal(found)
        return self


def refuse(reason: str, fix: str) -> NoReturn:
    """For validators of one value: refuses it with a reason and a fix."""
    raise _refusal([Problem(path="", value=None, reason=reason, fix=fix)])


def parse(model: type[Model], raw: Mapping[str, Any], where: str) -> Model:
    """Parse `raw` into settings; SettingsError with every problem at once.

    `where` names the source in the error's text, for example the stack file.
    """
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        problems = [p for e in error.errors() for p in _problems(model, e)]
        raise SettingsError(where, problems) from None


def _refusal(problems: list[Problem]) -> PydanticCustomError:
    text = "; ".join(
        f"{p.path}: {p.reason}, {p.fix}".removeprefix(": ") for p in problems
    )
    # The text is not a template: braces of a value must not be taken for one's fields.
    template = "{text}"
    return PydanticCustomError(_REFUSAL, template, {"text": text, "problems": problems})


def _problems(model: type[BaseModel], error: ErrorDetails) -> Iterator[Problem]:
    location = setting_problems.names(model, error["loc"])
    if error["type"] == _REFUSAL:
        for problem in error["ctx"]["problems"]:
            path = ".".join([*location, *filter(None, [problem.path])])
            value = problem.value if problem.path else error["input"]
            yield replace(problem, path=path, value=value)
        return
    reason, fix = setting_problems.explain(model, error)
    value = ABSENT if error["type"] == "missing" else error["input"]
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        # Of several kinds: the setting that selects one.
        location.append(error["ctx"]["discriminator"].strip("'"))
        value = error["ctx"].get("tag", ABSENT)
    yield Problem(
        path=".".join(location) or "(all)",
        value=value,
        reason=reason,
        fix=fix,
    )


def _short(value: Any) -> str:
    text = repr(value)
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[: _LONGEST_VALUE - 4]} ..."
