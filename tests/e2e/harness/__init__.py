"""What the end-to-end tests start and talk to: stand-in providers, `weir run`, Redis, and the resources they are given."""
