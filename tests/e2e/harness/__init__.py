"""What the end-to-end tests start and talk to: stand-in providers, `weir run`, and the resources it is given."""
