"""Numbers for Prometheus, in its text format (prometheus.io/docs/instrumenting/exposition_formats). No names of models.

Zone: controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.gateway.content import free

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.gateway.service import Service


def text(service: Service) -> str:
    """All numbers, a sample a line."""
    return "".join(f"{line}\n" for line in _lines(service))


def _lines(service: Service) -> Iterator[str]:
    counters, took = service.counters, service.queue.durations
    yield "# TYPE safe_load_models gauge"
    for state, count in service.store.counts().items():
        yield f'safe_load_models{{state="{state}"}} {count}'
    yield "# TYPE safe_load_judging_seconds summary"
    for quantile in (0.5, 0.9):
        if took:
            at = sorted(took)[min(len(took) - 1, int(len(took) * quantile))]
            yield f'safe_load_judging_seconds{{quantile="{quantile}"}} {at:.3f}'
    yield "# TYPE safe_load_queue_stopped gauge"
    yield f"safe_load_queue_stopped {int(bool(service.queue.stopped))}"
    yield "# TYPE safe_load_disk_free_bytes gauge"
    yield f"safe_load_disk_free_bytes {free(service.settings.data)}"
    kept = service.content.kept
    yield "# TYPE safe_load_kept_bytes gauge"
    yield f"safe_load_kept_bytes {kept.bytes}"
    for name, value in (
        ("upstream_answers", counters.resolved), ("upstream_failures", counters.unresolved),
        ("stale_answers", counters.stale), ("sent_bytes", counters.sent),
        ("removed", kept.removed),
    ):  # fmt: skip
        yield f"# TYPE safe_load_{name}_total counter"
        yield f"safe_load_{name}_total {value}"
    yield "# TYPE safe_load_requests_total counter"
    for (method, status), count in sorted(counters.requests.items()):
        yield f'safe_load_requests_total{{method="{method}",status="{status}"}} {count}'
