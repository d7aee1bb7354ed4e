"""`slipway experiment`: reports of A/B experiments, and orders that end or extend them.

The rollout controller changes the weights (docs/decisions/0061), so orders and their
record are those of `slipway rollout`. The monitor's program counts and evaluates.
"""

import slipway.rollouts  # noqa: F401, it makes the controller's package importable
