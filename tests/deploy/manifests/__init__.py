"""What is in manifests/: rendered again, built, checked against the platforms' schemas, and installed with stand-ins."""
