"""The model console: web pages of monitor, Alertmanager and rollout controller."""
