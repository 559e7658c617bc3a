"""Envoy Gateway: its offline translation, and its server on this machine."""
