"""Labelled clips have the truth they claim, and the measures on them are what they say."""

import json

import numpy as np
import numpy.typing as npt
import pytest
import typer
from typer.testing import CliRunner

from rt_seg.benchmarks import clinical
from rt_seg.benchmarks.clinical import read_stills
from rt_seg.benchmarks.clinical_measures import SeenClip, Steady, carried_over, measure, stabilise_clip
from rt_seg.benchmarks.labelled_clips import HEIGHT, SPOILING, WIDTH, Clip, Spoiling, Still
from rt_seg.engines.geometry import Box, Geometry
from rt_seg.errors import DataError
from rt_seg.realtime.motion import GREY_SIDE, Motion
from rt_seg.realtime.stabilise import FILTERS

UInt8Array = npt.NDArray[np.uint8]
GEOMETRY = Geometry(64, 64, Box.of_size(64, 64), 64, 64)
CLEAN = Spoiling(0.0, 0.0, 0, 0.0, 95)


def masks(*columns: int | None) -> UInt8Array:
    """One frame each: a square at that column, or nothing."""
    frames = np.zeros((len(columns), 64, 64), np.uint8)
    for frame, column in zip(frames, columns, strict=True):
        if column is not None:
            frame[20:40, column : column + 20] = 255
    return frames


def seen(probability: UInt8Array, truth: UInt8Array) -> Steady:
    """A clip of 10 frames a second that does not move."""
    times = tuple(i / 10 for i in range(len(truth)))
    grey = np.zeros((len(truth), GREY_SIDE, GREY_SIDE), np.uint8)
    clip = SeenClip("clip", GEOMETRY, times, probability, truth, grey)
    return Steady(clip, probability, (Motion.none(),) * len(truth))


def red_still() -> Still:
    """A bright still with a red square in its middle that is its polyp."""
    image, mask = np.full((512, 640, 3), 120, np.uint8), np.zeros((512, 640), np.uint8)
    image[230:290, 300:360], mask[230:290, 300:360] = (0, 0, 250), 255
    return Still("red", image, mask)


@pytest.mark.slow
def test_the_truth_lies_on_the_polyp_and_a_seed_repeats_it() -> None:
    """The red square lies under its mask in each frame, comes and goes, and the clip can be made again."""
    clip = Clip(red_still(), CLEAN, seed=1)
    frames = list(clip)
    assert len(frames) == len(clip)
    shows = [bool(frame.truth.any()) for frame in frames]
    assert (shows[0], shows[-1], any(shows)) == (False, False, True)
    for frame in frames[::6]:
        assert frame.image.shape == (HEIGHT, WIDTH, 3)
        red = (frame.image[..., 2].astype(int) - frame.image[..., 0]) > 125
        truth = frame.truth > 0
        assert (red & truth).sum() >= 0.85 * (red | truth).sum()
    again = next(iter(Clip(red_still(), SPOILING["hard"], seed=1)))
    assert (again.image == next(iter(Clip(red_still(), SPOILING["hard"], seed=1))).image).all()
    assert (again.image != frames[0].image).any()


def test_a_dark_still_is_refused() -> None:
    """A camera cannot move over nothing; the still is named."""
    black = np.zeros((512, 640, 3), np.uint8)
    with pytest.raises(DataError, match="night"):
        Clip(Still("night", black, black[..., 0]), CLEAN, seed=0)


def test_a_perfect_segmentation_scores_as_such() -> None:
    """All is found at once, nothing else is drawn, and it is as steady as the truth."""
    truth = masks(None, 10, 12, 14, None)
    outcome = measure([seen(truth, truth)], 128, (1, 1))
    assert (outcome.mdice, outcome.sensitivity, outcome.specificity) == (1.0, 1.0, 1.0)
    assert (outcome.found, outcome.polyps, outcome.first_detection_ms) == (1, 1, 0.0)
    assert outcome.steadiness == outcome.true_steadiness < 1.0
    assert (outcome.false_activations_a_minute, outcome.switches_a_minute, outcome.sightings_a_polyp) == (0.0, 0.0, 1.0)


def test_waiting_costs_time_and_saves_false_activations() -> None:
    """A flash beside the polyp counts as false without a wait and not with one, which delays the polyp."""
    truth = masks(None, None, 10, 10, 10, 10)
    found = truth.copy()
    found[0, 45:60, 45:60] = 255
    at_once, waited = (measure([seen(found, truth)], 128, wait) for wait in ((1, 1), (2, 3)))
    assert at_once.false_activations_a_minute == pytest.approx(100)
    assert (at_once.brief_false_share, at_once.specificity, at_once.first_detection_ms) == (1.0, 0.5, 0.0)
    assert (waited.false_activations_a_minute, waited.specificity) == (0.0, 1.0)
    assert waited.first_detection_ms == pytest.approx(100)
    assert waited.sensitivity == 0.75


def test_a_mask_that_drops_out_is_unsteady() -> None:
    """A polyp found in every other frame loses half its Dice, and each loss is counted."""
    truth = masks(10, 10, 10, 10, 10)
    found = masks(10, None, 10, None, 10)
    outcome = measure([seen(found, truth)], 128, (1, 1))
    assert outcome.mdice == pytest.approx(0.6)
    assert (outcome.steadiness, outcome.true_steadiness) == (0.0, 1.0)
    assert outcome.switches_a_minute == pytest.approx(2 / (0.5 / 60))
    assert outcome.specificity is None
    held = stabilise_clip(seen(found, truth).clip, FILTERS["strong"], 100)
    assert measure([held], 100, (1, 1)).steadiness > 0.5


def test_an_old_mask_fits_worse() -> None:
    """Left where it was, a mask that moves 4 of 20 columns a frame fits by 16/24 and then by 12/28."""
    truth = masks(4, 8, 12, 16, 20)
    clip = seen(truth, truth).clip
    assert carried_over([clip], 1, None) == pytest.approx(16 / 24)
    assert carried_over([clip], 2, None) == pytest.approx(12 / 28)


def test_the_stills_that_ship_are_the_default() -> None:
    """Without a folder the samples are filmed; a list alone is refused."""
    assert len(read_stills([], None, None)) == 5
    assert len(read_stills([], None, 2)) == 2


@pytest.mark.parametrize("arguments", [["--stabilise", "much"], ["--min-frames", "5/3"], ["--min-frames", "three"]])
def test_wrong_options_end_with_one_line(arguments: list[str]) -> None:
    """The message repeats what was given, and the exit code is that of a wrong command line."""
    app = typer.Typer()
    app.command()(clinical.main)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert repr(arguments[1]) in result.output


@pytest.mark.slow
def test_the_command_prints_json() -> None:
    """One still, the packaged model: every table is there, and simulated is said."""
    app = typer.Typer()
    app.command()(clinical.main)
    result = CliRunner().invoke(app, ["--limit", "1", "--json", "--engine", "cpu"])
    assert result.exit_code == 0
    values = json.loads(result.stdout)
    assert (values["simulated"], values["clips"]) == (True, 2)
    assert {row["setting"] for row in values["rows"]} >= {"off", "light", "strong", "0.5", "2/3", "3/5"}
    assert values["moved_masks_iou"]["80"]["moved"] > values["moved_masks_iou"]["80"]["left"]
