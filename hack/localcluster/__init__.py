"""A real Kubernetes on one Debian machine, without Docker: for the demo, the e2e tests and the benchmarks."""
