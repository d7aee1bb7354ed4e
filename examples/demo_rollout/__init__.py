"""A good and a bad revision of a model, rolled out in the lab."""

import slipway.rollouts  # noqa: F401, finds the controller's package `rollout`
