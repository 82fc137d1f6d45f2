"""What `/metrics` tells an operator: how many requests, how fast, what was refused, how many vectors are due.

Nothing by scope, tier, principal or tool: such a count would tell of what its reader may not see (T10, T13).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from memstore.credentials import Fault

ENDPOINTS = ("/mcp", "/bridge", "/metrics")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30)


class Meters:
    """Counts of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        ProcessCollector(registry=registry)
        labels = ("endpoint", "status")
        self._requests = Counter("memstore_requests", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "memstore_request_seconds", "From head to answer.", ("endpoint",), buckets=BUCKETS, registry=registry
        )
        self._faults = Counter("memstore_unauthenticated", "Credentials refused.", ("fault",), registry=registry)
        self._held = Counter("memstore_rate_limited", "Requests refused for their rate.", registry=registry)
        self._pending = Gauge("memstore_pending_vectors", "Records that wait for vectors.", registry=registry)
        for fault in Fault:
            self._faults.labels(fault)

    def answered(self, path: str, status: int, seconds: float) -> None:
        endpoint = path if path in ENDPOINTS else "other"
        self._requests.labels(endpoint, status).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def unauthenticated(self, fault: Fault) -> None:
        self._faults.labels(fault).inc()

    def held_back(self) -> None:
        self._held.inc()

    def text(self, *, pending_vectors: int) -> bytes:
        """The whole, in Prometheus' text format."""
        self._pending.set(pending_vectors)
        return generate_latest(self._registry)
