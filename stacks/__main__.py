"""What `pulumi up` runs: picks the module of the stack's layer, and does nothing else.

`pulumi` runs this folder as a program, so it stands first on the path, where its
modules would hide others of the same name (`platform` is in the standard library); the
checkout takes its place.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent)] + [p for p in sys.path if Path(p).resolve() != HERE]

import pulumi  # noqa: E402

from stacks import layers  # noqa: E402

layers.program(pulumi.get_stack())()
