"""YAML as the programs that read our files understand it: one reader, one writer."""

from components.yaml_text.bounds import DEEPEST
from components.yaml_text.engine import handed
from components.yaml_text.reader import YamlError, read, read_all, read_file
from components.yaml_text.scalars import Dialect
from components.yaml_text.writer import written

__all__ = [
    "DEEPEST",
    "Dialect",
    "YamlError",
    "handed",
    "read",
    "read_all",
    "read_file",
    "written",
]
