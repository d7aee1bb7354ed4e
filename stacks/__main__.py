"""What `pulumi up` runs: picks the module of the stack's layer, and does nothing else.

But for one question before: whether others made what the stack would make.

`pulumi` runs this folder as a program, so it stands first on the path, where its
modules would hide others of the same name (`platform` is in the standard library); the
checkout takes its place.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parent)] + [p for p in sys.path if Path(p).resolve() != HERE]

import pulumi  # noqa: E402

from components.settings import SettingsError  # noqa: E402
from slipway.engine import pulumi_up  # noqa: E402
from stacks import config, layers  # noqa: E402

stack = pulumi.get_stack()
try:
    # Before the program: what it has declared is made even if it then fails.
    pulumi_up.refuse_foreign(stack, config.read(), preview=pulumi.runtime.is_dry_run())
    layers.program(stack)()
except SettingsError as error:
    raise pulumi.RunError(str(error)) from None  # which the host tells without a trace
