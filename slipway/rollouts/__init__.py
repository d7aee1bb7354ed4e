"""`slipway rollout`: shows running rollouts, gives orders, verifies decisions.

An order and a verdict are the controller's own code (images/rollout), so that both
sides mean the same by them.
"""

import sys

from toolchain import paths

_CONTROLLER = str(paths.ROOT / "images" / "rollout")
if _CONTROLLER not in sys.path:
    sys.path.append(_CONTROLLER)
