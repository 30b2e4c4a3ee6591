"""One-shot pre-downloads: OpenKruise's jobs read into values, a pure stepper, and its driver."""
