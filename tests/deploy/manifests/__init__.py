"""What is in manifests/: rendered again, built, checked against the schemas, and installed with stand-ins."""
