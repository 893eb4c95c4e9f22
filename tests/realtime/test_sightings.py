"""Sightings: one id for one polyp, drawn after K of N frames, over when it is gone for long."""

import cv2
import numpy as np
import pytest

from rt_seg.engines.geometry import Box, Geometry
from rt_seg.realtime.frame import Frame, Polyp, Segmentation
from rt_seg.realtime.motion import Motion
from rt_seg.realtime.regions import find_polyps
from rt_seg.realtime.sightings import SightingTracker, Tracking, withhold

WHOLE = Box.of_size(1000, 1000)


def polyp(x: int, y: int, side: int = 100, confidence: float = 0.9) -> Polyp:
    """A square one."""
    return Polyp(Box(x, y, side, side), side * side, side * side / 1e6, confidence)


class Run:
    """Feeds a tracker 25 frames a second."""

    def __init__(self, k: int, n: int) -> None:
        self.tracker = SightingTracker((k, n))
        self.index = -1

    def __call__(self, *polyps: Polyp, motion: Motion | None = None) -> Tracking:
        self.index += 1
        return self.tracker.update(polyps, self.index, self.index / 25, motion, WHOLE)


def test_it_is_drawn_from_the_kth_of_n_frames_on() -> None:
    """With 3/5 the third frame within five activates, a missed one between does no harm."""
    run = Run(3, 5)
    results = [run(polyp(100, 100)), run(), run(polyp(105, 100)), run(polyp(110, 100)), run(polyp(112, 100))]
    assert [tracking.active for tracking in results] == [(False,), (), (False,), (True,), (True,)]
    assert [tracking.polyps[0].track_id for tracking in results if tracking.polyps] == [None, None, 1, 1]
    (started,) = results[3].started
    assert (started.id, started.first_seconds, started.activated_seconds, started.frames) == (1, 0.0, 0.12, 3)
    assert not any(tracking.started for tracking in (*results[:3], results[4]))


def test_k_frames_beyond_the_window_do_not_activate() -> None:
    """Seen every third frame, a candidate never has 3 of 5."""
    run = Run(3, 5)
    seen = [run(polyp(100, 100)) if i % 3 == 0 else run() for i in range(30)]
    assert not any(any(tracking.active) for tracking in seen)
    assert run.tracker.end_all() == ()


def test_one_of_one_draws_at_once() -> None:
    """Without a wait the first frame starts the sighting."""
    tracking = Run(1, 1)(polyp(100, 100))
    assert tracking.drawn[0].track_id == 1
    assert len(tracking.started) == 1


def test_a_faint_region_starts_nothing_and_keeps_what_there_is() -> None:
    """Only confident frames count towards a sighting; once it is drawn, it stays so however faint it becomes."""
    tracker = SightingTracker((2, 3), min_confidence=0.7)
    confidences = [0.6, 0.65, 0.69, 0.8, 0.6, 0.9, 0.55, 0.5]
    seen = [tracker.update([polyp(100, 100, confidence=c)], i, i / 25, None, WHOLE) for i, c in enumerate(confidences)]
    assert [tracking.active[0] for tracking in seen] == [False] * 5 + [True] * 3
    assert seen[5].started[0].first_seconds == 3 / 25
    assert tracker.open[0].highest_confidence == 0.9


def test_a_short_gap_keeps_the_id_and_a_long_one_ends_it() -> None:
    """After 0.4 s it is the same sighting, after 1 s another; the record says when it was last seen."""
    run = Run(1, 1)
    run(polyp(100, 100))
    for _ in range(9):
        assert run().ended == ()
    assert run(polyp(110, 105)).polyps[0].track_id == 1
    ended = [sighting for _ in range(25) for sighting in run().ended]
    assert [(each.id, each.last_seconds, each.frames) for each in ended] == [(1, 0.4, 2)]
    assert run(polyp(110, 105)).polyps[0].track_id == 2


@pytest.mark.parametrize("interval", [0.7, 5.0])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3)])
def test_rare_frames_make_no_difference(interval: float, k: int, n: int) -> None:
    """A polyp in every frame is one sighting however long the frames are apart; gone for 2 N of them it is over."""
    tracker = SightingTracker((k, n))
    seen = [tracker.update([polyp(100 + i, 100)], i, i * interval, None, WHOLE) for i in range(9)]
    assert [each.id for tracking in seen for each in tracking.started] == [1]
    assert all(tracking.active == (True,) for tracking in seen[k + 1 :])
    gone = [tracker.update([], 9 + i, (9 + i) * interval, None, WHOLE) for i in range(2 * n)]
    assert [each.id for tracking in gone for each in tracking.ended] == [1]


def test_a_pause_is_longer_than_frames_are_apart() -> None:
    """What is seen after ten seconds without a frame is another sighting, and has to wait anew."""
    run = Run(2, 3)
    for _ in range(5):
        run(polyp(100, 100))
    after = run.tracker.update([polyp(100, 100)], 5, 10.0, None, WHOLE)
    assert [each.id for each in after.ended] == [1]
    assert after.active == (False,)


def test_two_polyps_keep_their_ids_whatever_their_order() -> None:
    """The list is sorted by area, which changes; the ids stay with the places."""
    run = Run(1, 1)
    first = run(polyp(100, 100, 120), polyp(600, 600, 100))
    second = run(polyp(600, 600, 130), polyp(100, 100, 110))
    assert [p.track_id for p in first.polyps] == [1, 2]
    assert [p.track_id for p in second.polyps] == [2, 1]


def test_a_mask_that_falls_apart_stays_one_sighting() -> None:
    """Parts that lie in the box of a polyp belong to it."""
    run = Run(1, 1)
    run(polyp(100, 100, 200))
    parts = run(polyp(110, 110, 70), polyp(210, 210, 70))
    assert [p.track_id for p in parts.polyps] == [1, 1]
    assert len(run.tracker.open) == 1
    assert run.tracker.open[0].largest_area_px == 40_000


def test_a_mask_that_grows_over_a_stray_part_keeps_its_id() -> None:
    """A part beside a polyp was another sighting; the region that then covers both is the polyp's, and stays it."""
    run = Run(1, 1)
    run(polyp(100, 100, 200))
    parts = run(polyp(100, 100, 200), polyp(310, 120, 40))
    whole = [run(polyp(110, 100, 250)) for _ in range(3)]
    assert [p.track_id for p in parts.polyps] == [1, 2]
    assert [tracking.polyps[0].track_id for tracking in whole] == [1, 1, 1]
    assert not any(tracking.started for tracking in whole)


def test_the_picture_may_move() -> None:
    """A polyp that jumps with the whole picture keeps its id; without the motion it would be another."""
    jump = Motion(np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.0]]), 1.0, 1.0)
    for motion, expected in ((jump, 1), (None, 2)):
        run = Run(1, 1)
        run(polyp(100, 100))
        assert run(polyp(400, 100), motion=motion).polyps[0].track_id == expected


def test_the_best_frame_is_large_and_certain() -> None:
    """Better frames are announced, and the record ends with the best of them."""
    run = Run(1, 1)
    improved = [
        run(polyp(100, 100, side, confidence)).improved
        for side, confidence in ((100, 0.6), (102, 0.6), (150, 0.9), (150, 0.5), (80, 0.95))
    ]
    assert improved == [(1,), (), (1,), (), ()]
    (sighting,) = run.tracker.end_all()
    assert (sighting.best_index, sighting.best_seconds) == (2, 0.08)
    assert (sighting.largest_area_px, sighting.highest_confidence) == (22_500, 0.95)


def test_noise_does_not_fill_the_memory() -> None:
    """However many regions come, the number of tracks is bounded, and active ones survive."""
    run = Run(2, 3)
    run(polyp(0, 0, 10))
    run(polyp(0, 0, 10))
    for i in range(20):
        run(polyp(0, 0, 10), *(polyp(20 + 20 * (j % 45), 20 + 20 * (i + j // 45), 5) for j in range(200)))
    tracks: list[object] = getattr(run.tracker, "_tracks")  # noqa: B009  nothing public counts the pending ones
    assert len(tracks) <= 64
    assert run.tracker.open[0].frames == 22


def test_what_is_not_active_is_not_shown() -> None:
    """A pending region vanishes from polyps and probability alike; the active one stays, with its id."""
    probability = np.zeros((256, 256), np.uint8)
    probability[20:60, 20:60], probability[150:180, 150:180] = 250, 200
    probability = np.asarray(cv2.blur(probability, (5, 5)), np.uint8)
    geometry = Geometry(1000, 1000, WHOLE, 256, 256)
    image = np.zeros((1000, 1000, 3), np.uint8)
    polyps = find_polyps(probability, geometry, 128)
    seen = Segmentation(Frame(0, 0.0, 0, image), probability, geometry, 128, polyps, {})
    tracker = SightingTracker((2, 3))
    tracker.update(polyps[:1], 0, 0.0)
    shown = withhold(seen, tracker.update(polyps, 1, 0.04))
    assert [p.track_id for p in shown.polyps] == [1]
    assert shown.probability[40, 40] == 250
    assert not shown.probability[140:, 140:].any()  # the heatmap draws from a tenth on
    assert find_polyps(shown.probability, geometry, 128) == polyps[:1]
    assert probability[160, 160] == 200


@pytest.mark.parametrize("wait", [(0, 3), (4, 3), (-1, -1)])
def test_a_wait_that_cannot_be_is_refused(wait: tuple[int, int]) -> None:
    """K is at least 1 and at most N."""
    with pytest.raises(ValueError, match=f"{wait[0]}/{wait[1]}"):
        SightingTracker(wait)


def test_the_wait_can_be_changed_between_two_frames() -> None:
    """A shorter one activates what was seen often enough; a longer one leaves what is active and holds back the new."""
    run = Run(3, 5)
    assert [run(polyp(100, 100)).active for _ in range(2)] == [(False,), (False,)]
    run.tracker.min_frames = (2, 3)
    assert run(polyp(100, 100)).active == (True,)
    run.tracker.min_frames = (4, 8)
    assert [run(polyp(100, 100), polyp(600, 600)).active for _ in range(4)] == [(True, False)] * 3 + [(True, True)]
    with pytest.raises(ValueError, match="1 <= K <= N"):
        run.tracker.min_frames = (3, 2)
    assert run.tracker.min_frames == (4, 8)
