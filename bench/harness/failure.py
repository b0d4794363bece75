"""What stops a run."""


class BenchmarkError(Exception):
    """A figure would be wrong, or could not be measured at all. Its text is one for people."""
