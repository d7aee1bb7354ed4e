"""Rules evaluated in CEL: what is wrong with an object."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from components.security.rules import Rule, RuleList
from toolchain.errors import OperatorError

SEEN = ("object", "params", "variables", "related", "settings")
"""What expressions see; the API server knows the first three."""


class ExpressionError(OperatorError):
    """An expression is no CEL, or not of the kind that rules are made of."""


class Evaluator:
    """The rules, compiled once; good for any number of objects."""

    def __init__(self, rules: RuleList) -> None:
        """ExpressionError with every expression that cannot be compiled."""
        self.rules = rules
        texts = {f"variables.{name}": text for name, text in rules.variables.items()}
        texts |= {rule.id: rule.expression for rule in rules.rules.values()}
        self._compiled: dict[str, cel.Expression] = {}
        wrong = []
        for name, text in texts.items():
            try:
                self._compiled[name] = self._environment.compile(text)
            except RuntimeError as error:
                wrong.append(f"{name}: {error}")
        if wrong:
            raise ExpressionError("policies: no valid CEL:\n" + "\n".join(wrong))

    @cached_property
    def _environment(self) -> cel.Env:
        return cel.NewEnv(
            variables=dict.fromkeys(SEEN, cel.Type.DYN),
            extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
        )

    def wrong(
        self,
        rule: Rule,
        content: Mapping[str, Any],
        parameters: Mapping[str, str],
        **more: Any,
    ) -> list[str]:
        """What is wrong with the object by this rule; nothing where it conforms.

        `more`: `related` and `settings`. An expression that fails, as the API server
        would refuse the object then, is what is wrong.
        """
        seen: dict[str, Any] = {"object": content, "params": {"data": dict(parameters)}}
        seen |= {"variables": {}, **more}
        for name in self.rules.variables_of(rule.expression):
            found = self._compiled[f"variables.{name}"].eval(data=seen)
            if found.type() == cel.Type.ERROR:
                return [_failed(found)]
            seen["variables"] = {**seen["variables"], name: found.plain_value()}
        found = self._compiled[rule.id].eval(data=seen)
        values = found.plain_value()
        if found.type() == cel.Type.ERROR or not isinstance(values, list):
            return [_failed(found)]
        return [str(value) for value in values]


def _failed(found: cel.Value) -> str:
    return f"it cannot be judged: {found.plain_value()}"
