"""`slipway experiment`: reports of A/B experiments, and orders that end or extend them.

The rollout controller moves the weights (docs/decisions/0061), so orders and their
record are those of `slipway rollout`. The monitor's program counts and judges.
"""

import slipway.rollouts  # noqa: F401, it makes the controller's package importable
