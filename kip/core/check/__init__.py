"""What `kip check` looks at: pure functions from settings and what was read of the cluster to findings."""
