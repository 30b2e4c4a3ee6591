"""The long-running process: observe, plan, apply, report."""
