"""The DaemonSet that the settings ask for, and the nodes that it reaches."""
