"""Types of an application's variables, Secrets and files."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from pydantic import AfterValidator

from components.setting_types import dns_subdomain, short
from components.settings import refuse

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_KEY = re.compile(r"(?!\.\.)[A-Za-z0-9._-]+")
_FILE = re.compile(r"(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*){2,}")
_LONGEST_NAME = 253
_LONGEST_PATH = 1024
_LONGEST_VALUE = 128 * 1024
"""Bytes of one variable, name and `=` among them, that Linux hands to a program
(MAX_ARG_STRLEN)."""


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        refuse(
            "not a valid variable name",
            "use letters, digits and _ . - with a letter or _ first, such as "
            "DATABASE_HOST",
        )
    return short(text, _LONGEST_NAME)


def _value(text: str) -> str:
    if "\0" in text:
        refuse("a variable cannot hold a NUL character", "remove it from the value")
    if len(text.encode()) >= _LONGEST_VALUE - _LONGEST_NAME - 2:
        refuse(
            "Linux does not pass a variable this long to a program",
            "put it into a file of a Secret or of the image",
        )
    return text


def _key(text: str) -> str:
    if text == "." or not _KEY.fullmatch(text):
        refuse(
            "not a valid key of a Secret",
            "use letters, digits and . _ - such as password or ca.crt",
        )
    return short(text, _LONGEST_NAME)


def _file(text: str) -> str:
    if not _FILE.fullmatch(text):
        refuse(
            "not the absolute path of a file in a folder",
            "give one such as /etc/database/ca.crt: letters, digits and . _ - between "
            "slashes, no . or .. alone",
        )
    return short(text, _LONGEST_PATH)


VariableName = Annotated[str, AfterValidator(_variable)]
"""A variable's name as Kubernetes and Compose both take it."""
VariableValue = Annotated[str, AfterValidator(_value)]
"""Text that is passed to the program unchanged."""
SecretKey = Annotated[str, AfterValidator(_key)]
"""A key of a Secret."""
SecretName = Annotated[str, AfterValidator(partial(dns_subdomain, example="database"))]
"""Name of a Secret (RFC 1123 subdomain)."""
FilePath = Annotated[str, AfterValidator(_file)]
"""Absolute path of a file; its folder is mounted as a whole."""
