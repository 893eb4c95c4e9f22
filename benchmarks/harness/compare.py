"""This run against an earlier one: ratios, with intervals that say where they are no more than noise."""

from collections.abc import Iterator
from dataclasses import dataclass

from .arithmetic import LEAST_TO_COMPARE, Ratio, median, ratio
from .results import Column, PartResult, Report, Row, Table

_MACHINE = ("cpu", "usable_cores", "memory_mib", "gpus", "python")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure, then and now.

    Attributes:
        part: Name of the part.
        case: The row.
        column: The figure.
        old: Median of the earlier run.
        new: Median of this one.
        ratio: New / old.
    """

    part: str
    case: str
    column: Column
    old: float
    new: float
    ratio: Ratio

    @property
    def verdict(self) -> str:
        """``better``, ``worse``, ``within noise``, or ``too few repeats`` to say."""
        if self.ratio.within_noise is None:
            return "too few repeats"
        if self.ratio.within_noise:
            return "within noise"
        return "better" if (self.ratio.value > 1) == (self.column.better == "higher") else "worse"


def compare(new: Report, old: Report) -> tuple[list[Comparison], list[str]]:
    """Compare every figure that both have from repeats and that has a good direction.

    Returns:
        The comparisons in the order of the tables, and what a reader must know: other machine, other versions, parts
        or cases that only one of them has.
    """
    before = {measured.result.name: measured.result for measured in old.parts}
    notes = _differences(new, old)
    found: list[Comparison] = []
    for measured in new.parts:
        part = measured.result
        if part.name not in before:
            notes.append(f"{part.name}: not in the earlier run")
        elif part.setup != before[part.name].setup:
            notes.append(
                f"{part.name}: measured on something else ({_setup_change(part, before[part.name])}), not compared"
            )
        else:
            found += _compare_part(part, before[part.name])
    if any(one.ratio.low is None for one in found):
        notes.append(
            f"below {LEAST_TO_COMPARE} repeats a side chance cannot be told from change; a longer --duration makes more"
        )
    if not found:
        notes.append("there is nothing that both runs measured")
    return found, notes


def _setup_change(new: PartResult, old: PartResult) -> str:
    keys = [key for key in {**old.setup, **new.setup} if old.setup.get(key) != new.setup.get(key)]
    return ", ".join(f"{key} {old.setup.get(key)} before, {new.setup.get(key)} now" for key in keys)


def _differences(new: Report, old: Report) -> list[str]:
    machines = {f"another machine: {key}": (old.machine.get(key), new.machine.get(key)) for key in _MACHINE}
    names = {**old.versions, **new.versions}
    packages = {name: (old.versions.get(name, "absent"), new.versions.get(name, "absent")) for name in names}
    changed = [f"{name} was {was}, is {now}" for name, (was, now) in {**machines, **packages}.items() if was != now]
    return [*changed, *(f"the earlier run: {line}" for line in old.warnings)]


def _compare_part(new: PartResult, old: PartResult) -> Iterator[Comparison]:
    before = {table.key: table for table in old.tables}
    for table in new.tables:
        if table.key in before:
            yield from _compare_table(new.name, table, before[table.key])


def _compare_table(part: str, new: Table, old: Table) -> Iterator[Comparison]:
    before = {row.label: row for row in old.rows}
    for row in new.rows:
        for column in new.columns:
            if column.better and row.label in before:
                yield from _compare_figure(part, row, before[row.label], column)


def _compare_figure(part: str, new: Row, old: Row, column: Column) -> Iterator[Comparison]:
    if column.percent is not None or column.key not in new.values or column.key not in old.values:
        return
    values, earlier = new.values[column.key], old.values[column.key]
    now, then, change = median(values), median(earlier), ratio(values, earlier)
    if now is not None and then is not None and change is not None:
        yield Comparison(part, new.label, column, then.value, now.value, change)
