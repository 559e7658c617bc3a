"""The driver of the benchmark: starts the gateways, runs the rounds, tells the results."""
