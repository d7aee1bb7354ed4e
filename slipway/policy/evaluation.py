"""Rules evaluated in CEL: what is wrong with an object."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from components.security.rules import Rule, RuleList
from toolchain.errors import WrongInputError

SEEN = ("object", "params", "variables", "related", "settings")
"""Variables of expressions; the API server knows the first three."""


class ExpressionError(WrongInputError):
    """An expression is not CEL, or not of the kind that rules are made of."""


@dataclass
class Seen:
    """Values that rules have computed for one object, alone or with related ones."""

    variables: dict[tuple[str, bool], Any] = field(default_factory=dict)
    """Values by name, and whether the object was alone."""
    activations: dict[tuple[tuple[str, ...], bool], cel.Activation] = field(
        default_factory=dict
    )
    """By the names of the variables in them."""


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
                self._compiled[name] = _compiled(text)
            except RuntimeError as error:
                wrong.append(f"{name}: {error}")
        if wrong:
            raise ExpressionError("policies: no valid CEL:\n" + "\n".join(wrong))
        self._variables = {
            rule.id: tuple(rules.variables_of(rule.expression))
            for rule in rules.rules.values()
        }

    def wrong(
        self,
        rule: Rule,
        content: Mapping[str, Any],
        parameters: Mapping[str, str],
        seen: Seen | None = None,
        **more: Any,
    ) -> list[str]:
        """What is wrong with the object by this rule; nothing where it conforms.

        `more`: `related` and `settings`. `seen`: what other rules have seen of this
        object, with the same parameters, related objects and settings. An expression
        that fails, as the API server would refuse the object then, is what is wrong,
        and so is a value that CEL cannot hold, such as half a surrogate pair.
        """
        try:
            return self._wrong(rule, content, parameters, seen, **more)
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            return [f"it cannot be judged: {error}"]

    def _wrong(
        self,
        rule: Rule,
        content: Mapping[str, Any],
        parameters: Mapping[str, str],
        seen: Seen | None = None,
        **more: Any,
    ) -> list[str]:
        seen = seen or Seen()
        is_alone = not more
        given = {"object": content, "params": {"data": dict(parameters)}, **more}
        names: tuple[str, ...] = ()
        for name in self._variables[rule.id]:
            if (name, is_alone) not in seen.variables:
                activation = self._activation(seen, names, is_alone, given)
                found = self._compiled[f"variables.{name}"].eval(activation)
                if found.type() == cel.Type.ERROR:
                    return [_failed(found)]
                seen.variables[name, is_alone] = found.plain_value()
            names = (*names, name)
        activation = self._activation(seen, names, is_alone, given)
        found = self._compiled[rule.id].eval(activation)
        values = found.plain_value()
        if found.type() == cel.Type.ERROR or not isinstance(values, list):
            return [_failed(found)]
        return [str(value) for value in values]

    def _activation(
        self,
        seen: Seen,
        names: tuple[str, ...],
        is_alone: bool,
        given: Mapping[str, Any],
    ) -> cel.Activation:
        """What expressions see that use these variables.

        It keeps what it has translated for CEL, which takes longer than a rule.
        """
        found = seen.activations.get((names, is_alone))
        if found is None:
            variables = {name: seen.variables[name, is_alone] for name in names}
            data = {**given, "variables": variables}
            found = _environment().Activation(data)
            seen.activations[names, is_alone] = found
        return found


@functools.cache
def _environment() -> cel.Env:
    return cel.NewEnv(
        variables=dict.fromkeys(SEEN, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
    )


@functools.lru_cache(maxsize=1024)
def _compiled(text: str) -> cel.Expression:
    """An expression, compiled once in a process; RuntimeError if it is not CEL."""
    return _environment().compile(text)


def _failed(found: cel.Value) -> str:
    return f"it cannot be judged: {found.plain_value()}"
