"""What Pulumi's Python host runs for PulumiPlugin.yaml: `slipway.provider.server`.

The host runs this folder as a program, so that it stands first on the path. The
checkout takes its place, as in stacks/__main__.py.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parents[1])] + [
    p for p in sys.path if Path(p).resolve() != HERE
]

from slipway.provider.server import main  # noqa: E402

main()
