"""What the tests of the benchmark's parts share: a progress that keeps what it is told, tables, a made-up run."""

from rt_seg.benchmarks.harness.results import PartResult, Row, Table
from rt_seg.benchmarks.stream_run import StreamRun


class Bar:
    """Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, str]] = []

    def update(self, done: float, doing: str) -> None:
        self.seen.append((done, doing))


def table_of(result: PartResult, key: str) -> Table:
    """A table by its key."""
    return next(table for table in result.tables if table.key == key)


def rows_of(table: Table) -> dict[str, Row]:
    """Rows by their label."""
    return {row.label: row for row in table.rows}


def values_of_run(**changes: object) -> dict[str, object]:
    """A run of 100 frames in 2 seconds on figures that are easily worked out, as its process returns it."""
    values: dict[str, object] = {
        "frames_in": 100, "frames_out": 100, "seconds": 2.0, "cpu_seconds": 3.0, "first_frame_seconds": 1.0,
        "parallel_calls": 2, "engine": "openvino int8", "model": "m",
        "stage_seconds": {"capture": 0.5, "infer": 3.0, "record": 1.9},
        "stage_counts": {"capture": [[5000, 100]], "infer": [[30000, 100]], "record": [[19000, 100]]},
        "occupancy": {"infer": 0.25, "render": 0.5, "record": 1.0}, "resident_mib": [],
        "progress": [], "peak_mib": 100.0,
    }  # fmt: skip
    return {**values, **changes}


def run_of(**changes: object) -> StreamRun:
    """The same as it is read."""
    return StreamRun.of(values_of_run(**changes))
