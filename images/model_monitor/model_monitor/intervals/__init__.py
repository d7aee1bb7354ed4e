"""Predictions and labels counted by revision and interval, for gates of rollouts."""
