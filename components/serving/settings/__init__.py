"""Typed settings of a model server, each part by itself."""
