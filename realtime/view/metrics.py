"""`StreamCollector`: the figures of a stream for Prometheus, read when they are asked for."""

from collections.abc import Iterable, Mapping
from functools import partial
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from rt_seg.engines.engine import EngineInfo
from rt_seg.realtime.pipeline import Pipeline
from rt_seg.realtime.statistics import Distribution

from .board import Board
from .viewers import Viewers

_BUCKETS_MS = (1, 2, 5, 10, 20, 33, 50, 75, 100, 120, 150, 200, 300, 500, 1000, 2000, 5000)
_STATES = (
    "live", "stale", "no_signal", "frozen", "black", "unassessable", "unavailable", "paused", "ended",
)  # fmt: skip


class StreamCollector(Collector):
    """Reads board, pipeline and viewers. Thread-safe.

    Args:
        board: The stream.
        viewers: Those who look.
        engine: What infers.
    """

    def __init__(self, board: Board, viewers: Viewers, engine: EngineInfo) -> None:
        self._board = board
        self._viewers = viewers
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        """All metrics; see the texts in each."""
        yield self._build()
        yield self._state()
        yield _gauge("rt_seg_view_clients", "Clients that look now.", self._viewers.count)
        yield _counter("rt_seg_view_refused", "Clients sent away because too many looked.", self._viewers.refused)
        yield _histogram(
            "rt_seg_browser_delay_seconds",
            "From the frame complete in memory to its picture on a client's screen, as clients report it.",
            {(): self._board.browser_delay},
        )
        pipeline = self._board.pipeline
        if pipeline is not None:
            yield from _frames(pipeline)
            yield from _events(pipeline)
            yield from _delays(pipeline)
            yield from _queues(pipeline)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known by `collect`."""
        return ()

    def _build(self) -> Metric:
        info = {
            "version": version("rt-seg"),
            "backend": self._engine.backend,
            "device": self._engine.device,
            "precision": self._engine.precision,
        }
        return InfoMetricFamily("rt_seg_engine", "What infers, and the version of rt-seg.", value=info)

    def _state(self) -> Metric:
        now = self._board.state(0)["state"]
        family = GaugeMetricFamily("rt_seg_state", "1 for what the stream is doing now.", labels=["state"])
        for state in _STATES:
            family.add_metric([state], float(state == now))
        return family


def make_registry(board: Board, viewers: Viewers, engine: EngineInfo) -> CollectorRegistry:
    """A registry of its own: the stream, this process, and Python."""
    registry = CollectorRegistry()
    registry.register(StreamCollector(board, viewers, engine))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def _frames(pipeline: Pipeline) -> Iterable[Metric]:
    statistics = pipeline.statistics
    yield _counter("rt_seg_frames_in", "Frames that the source delivered.", pipeline.frames_in)
    yield _counter("rt_seg_frames_shown", "Frames shown, by state of the stream.", dict(statistics.states), "state")
    yield _counter("rt_seg_frames_dropped", "Frames lost, by cause.", pipeline.dropped, "cause")
    yield _counter("rt_seg_frames_with_mask", "Frames shown with a current mask, be it empty.", statistics.with_mask)
    yield _counter("rt_seg_frames_with_polyps", "Frames shown with at least one polyp.", statistics.with_polyps)
    yield _counter("rt_seg_stand_ins", "Pictures shown in place of missing ones.", statistics.stand_ins)
    rate = statistics.recent.per_second
    yield _gauge("rt_seg_frame_rate", "Frames a second, over the last ones.", float("nan") if rate is None else rate)
    yield _gauge("rt_seg_recording", "1 while a recording is written.", float(bool(pipeline.status.recording)))


def _events(pipeline: Pipeline) -> Iterable[Metric]:
    statistics = pipeline.statistics
    yield _counter("rt_seg_sightings", "Polyps that were activated.", statistics.sightings)
    yield _counter("rt_seg_signal_losses", "How often the signal was lost.", statistics.signal_losses)
    yield _counter("rt_seg_reconnects", "How often a lost source was opened again.", statistics.reconnects)
    yield _counter("rt_seg_engine_failures", "How often the engine left service.", statistics.engine_failures)


def _delays(pipeline: Pipeline) -> Iterable[Metric]:
    statistics = pipeline.statistics
    for name, text, distribution in (
        ("video", "From the frame complete in memory to its hand-over.", statistics.video_delay),
        ("annotation", "The same for the frame that the shown mask was computed on.", statistics.annotation_delay),
        (
            "activation",
            "From the first frame of a sighting until its mask could be drawn.",
            statistics.activation_delay,
        ),
    ):
        yield _histogram(f"rt_seg_{name}_delay_seconds", text, {(): distribution})
    stages: dict[tuple[str, ...], Distribution] = {(name,): each for name, each in statistics.stages.items()}
    yield _histogram("rt_seg_stage_seconds", "Time of a frame in a stage.", stages, ["stage"])


def _queues(pipeline: Pipeline) -> Iterable[Metric]:
    text = "Items that wait now, by the stage that takes them."
    yield _gauge("rt_seg_queue_length", text, pipeline.waiting, "stage")
    text = "Mean share (0-1) of a queue that was full when something came, by the stage that takes from it."
    yield _gauge("rt_seg_queue_occupancy", text, pipeline.occupancy, "stage")


def _family(
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    text: str,
    value: float | Mapping[str, float],
    label: str = "",
) -> Metric:
    if not isinstance(value, Mapping):
        return kind(name, text, value=value)
    family = kind(name, text, labels=[label])
    for key, number in value.items():
        family.add_metric([key], number)
    return family


_counter = partial(_family, CounterMetricFamily)
_gauge = partial(_family, GaugeMetricFamily)


def _histogram(
    name: str, text: str, distributions: dict[tuple[str, ...], Distribution], labels: list[str] | None = None
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels or [])
    for key, distribution in distributions.items():
        family.add_metric(list(key), _buckets(distribution), distribution.sum_seconds)
    return family


def _buckets(distribution: Distribution) -> list[tuple[str, float]]:
    """Cumulative counts by upper bound in seconds."""
    counts = distribution.counts()
    bounds = [
        (str(bound / 1000), float(sum(count for micros, count in counts.items() if micros <= bound * 1000)))
        for bound in _BUCKETS_MS
    ]
    return [*bounds, ("+Inf", float(sum(counts.values())))]
