"""Figures that a runner shows while a job runs. Outside of a bundle, as in the launcher, they go nowhere."""

from apache_beam.metrics.metric import Metrics

NAMESPACE = "lutfuse"  # of the counters, and name of the log


def count(name: str, by: int = 1) -> None:
    """Add to a counter."""
    Metrics.counter(NAMESPACE, name).inc(by)


def measure(name: str, value: float) -> None:
    """Put a value, rounded, into a distribution."""
    Metrics.distribution(NAMESPACE, name).update(round(value))
