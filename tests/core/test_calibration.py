"""Calibrated scores: lines worked out by hand, and promises that fresh keypoints keep."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hourglass.core.calibration import (
    FLIP_TEST,
    KEYPOINTS_PER_KNOT,
    PLAIN,
    Calibration,
    fit_calibration,
    from_json,
    reliability,
    to_json,
)
from hourglass.core.skeleton import MPII, Skeleton

PELVIS, THORAX, HEAD_TOP = (MPII.index(name) for name in ("pelvis", "thorax", "head_top"))
RIGHT_WRIST, LEFT_WRIST = MPII.index("right_wrist"), MPII.index("left_wrist")

Keypoints = tuple[np.ndarray, np.ndarray, np.ndarray]


def nobody(count: int) -> Keypoints:
    """Heights, right and labelled of people of whom no joint is labelled yet."""
    return np.zeros((count, 16)), np.zeros((count, 16), bool), np.zeros((count, 16), bool)


def groups_of(*groups: tuple[int, float, int], joint: int = HEAD_TOP) -> Keypoints:
    """People of whom one joint is labelled: for each group, how many, their height, and how many
    of them are right."""
    heights, right, labelled = nobody(sum(count for count, _, _ in groups))
    labelled[:, joint] = True
    start = 0
    for count, height, found in groups:
        heights[start : start + count, joint] = height
        right[start : start + found, joint] = True
        start += count
    return heights, right, labelled


def simulated(seed: int, people: int) -> Keypoints:
    """Keypoints that are right with a probability that rises with the height, joint by joint."""
    rng = np.random.default_rng(seed)
    heights = rng.uniform(0, 1, (people, 16))
    exponent = np.ones(16)
    for joints in MPII.mirror_pairs:
        exponent[list(joints)] = 1 + joints[0] / 4
    probability = 0.9 * heights**exponent
    right = rng.uniform(size=heights.shape) < probability
    return heights, right, rng.uniform(size=heights.shape) < 0.8


def line_of(calibration: Calibration, joint: int) -> tuple[list[float], list[float]]:
    return calibration.heights[joint].tolist(), calibration.rates[joint].tolist()


def same(one: Calibration, other: Calibration) -> bool:
    return all(line_of(one, joint) == line_of(other, joint) for joint in range(16))


# Lines by hand.


def test_a_line_runs_through_the_shares_of_right_keypoints():
    calibration = fit_calibration(*groups_of((100, 0.2, 40), (100, 0.8, 90)))
    assert line_of(calibration, HEAD_TOP) == ([0.2, 0.8], [0.4, 0.9])
    heights = np.zeros((6, 16))
    heights[:, HEAD_TOP] = [0.0, 0.2, 0.35, 0.5, 0.8, 1.0]
    # Straight between the knots, level beyond them.
    np.testing.assert_allclose(
        calibration(heights)[:, HEAD_TOP], [0.4, 0.4, 0.525, 0.65, 0.9, 0.9], atol=1e-6
    )


def test_shares_that_would_fall_are_averaged():
    groups = ((100, 0.2, 50), (100, 0.4, 30), (100, 0.8, 90))
    calibration = fit_calibration(*groups_of(*groups))
    assert line_of(calibration, HEAD_TOP) == ([0.2, 0.4, 0.8], [0.4, 0.4, 0.9])


def test_an_average_counts_keypoints_and_not_knots():
    # Two bins of one height are one knot, of twice the weight: (120 + 30) of 300 are right.
    calibration = fit_calibration(*groups_of((200, 0.2, 120), (100, 0.4, 30)))
    assert line_of(calibration, HEAD_TOP) == ([0.2, 0.4], [0.5, 0.5])


def test_bins_of_keypoints_are_equally_large():
    # 260 keypoints make two bins of 130, the second with 60 of the middle group in it.
    calibration = fit_calibration(*groups_of((70, 0.1, 7), (120, 0.5, 60), (70, 0.9, 70)))
    heights, rates = line_of(calibration, HEAD_TOP)
    assert heights == [round((7 + 30) / 130, 4), round((30 + 63) / 130, 4)]
    # The middle group's right ones come first, and keypoints of one height keep their order.
    assert rates == [round((7 + 60) / 130, 4), round(70 / 130, 4)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_knots_have_four_digits_whatever_the_precision_of_heights(dtype: type):
    heights, right, labelled = groups_of((100, 0.123456, 40), (150, 2 / 3, 100))
    calibration = fit_calibration(heights.astype(dtype), right, labelled)
    # Two bins of 125: the second group fills up the first one with 25 right ones, and has 75 more.
    middle = round((100 * 0.123456 + 25 * 2 / 3) / 125, 4)
    assert line_of(calibration, HEAD_TOP) == ([middle, 0.6667], [0.52, 0.6])


def test_a_mirror_pair_shares_a_line():
    right_side = groups_of((100, 0.3, 50), joint=RIGHT_WRIST)
    left_side = groups_of((100, 0.6, 80), joint=LEFT_WRIST)
    calibration = fit_calibration(
        *(np.concatenate(pair) for pair in zip(right_side, left_side, strict=True))
    )
    assert line_of(calibration, RIGHT_WRIST) == ([0.3, 0.6], [0.5, 0.8])
    assert line_of(calibration, LEFT_WRIST) == line_of(calibration, RIGHT_WRIST)


def test_a_skeleton_without_mirror_pairs_has_a_line_per_joint():
    skeleton = Skeleton("two", ("one", "other"), bones=(), mirror_pairs=(), colours=())
    heights = np.tile([0.3, 0.6], (100, 1))
    right = np.arange(100)[:, None] < np.array([50, 80])
    calibration = fit_calibration(heights, right, np.ones((100, 2), bool), skeleton=skeleton)
    assert [line.tolist() for line in calibration.heights] == [[0.3], [0.6]]
    assert [line.tolist() for line in calibration.rates] == [[0.5], [0.8]]


@pytest.mark.parametrize("count", [KEYPOINTS_PER_KNOT - 1, KEYPOINTS_PER_KNOT])
def test_a_joint_with_too_few_labels_takes_the_line_of_all_joints(count: int):
    heights, right, labelled = groups_of((100, 0.4, 50), joint=RIGHT_WRIST)
    heights[:count, PELVIS], right[:count, PELVIS], labelled[:count, PELVIS] = 0.6, True, True
    calibration = fit_calibration(heights, right, labelled)
    common = line_of(calibration, THORAX)
    assert line_of(calibration, RIGHT_WRIST) == ([0.4], [0.5])
    if count < KEYPOINTS_PER_KNOT:
        # One bin of 100 wrists and 99 pelvises.
        assert common == ([round((40 + 0.6 * 99) / 199, 4)], [round((50 + 99) / 199, 4)])
        assert line_of(calibration, PELVIS) == common
    else:
        assert common == ([0.4, 0.6], [0.5, 1.0])
        assert line_of(calibration, PELVIS) == ([0.6], [1.0])


def test_the_labels_of_a_mirror_pair_count_together():
    heights, right, labelled = groups_of((200, 0.9, 200), joint=HEAD_TOP)
    labelled[:50, [RIGHT_WRIST, LEFT_WRIST]] = True
    heights[:, [RIGHT_WRIST, LEFT_WRIST]] = 0.5
    calibration = fit_calibration(heights, right, labelled)
    assert line_of(calibration, RIGHT_WRIST) == line_of(calibration, LEFT_WRIST) == ([0.5], [0.0])


# What holds for any keypoints.


def test_scores_rise_with_heights_and_stay_shares():
    calibration = fit_calibration(*simulated(0, 400))
    for heights, rates in zip(calibration.heights, calibration.rates, strict=True):
        assert (np.diff(heights) > 0).all()
        assert (np.diff(rates) >= 0).all()
        assert len(heights) > 1
    scores = calibration(np.tile(np.linspace(0, 1, 301)[:, None], 16))
    assert (np.diff(scores, axis=0) >= 0).all()
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    assert (scores[-1] > scores[0] + 0.5).all()


@pytest.mark.parametrize("shape", [(16,), (5, 16), (2, 3, 16), (0, 16)])
def test_scores_come_in_the_shape_of_heights(shape: tuple[int, ...]):
    calibration = fit_calibration(*simulated(1, 200))
    heights = np.random.default_rng(2).uniform(0, 1, shape).astype(np.float32)
    scores = calibration(heights)
    assert (scores.shape, scores.dtype) == (shape, np.float32)
    for joint in range(16):
        expected = np.interp(heights[..., joint], *map(np.array, line_of(calibration, joint)))
        np.testing.assert_allclose(scores[..., joint], expected, rtol=1e-6)


def test_mirror_pairs_alone_share_lines():
    calibration = fit_calibration(*simulated(3, 400))
    for right, left in MPII.mirror_pairs:
        assert line_of(calibration, right) == line_of(calibration, left)
    own = [right for right, _ in MPII.mirror_pairs] + [PELVIS, THORAX, HEAD_TOP]
    assert len({str(line_of(calibration, joint)) for joint in own}) == len(own)


def test_keypoints_without_a_label_count_for_nothing():
    heights, right, labelled = simulated(4, 200)
    expected = fit_calibration(heights, right, labelled)
    right = np.where(labelled, right, ~right)
    heights = np.where(labelled, heights, np.nan)
    assert same(fit_calibration(heights, right, labelled), expected)


def test_the_order_of_people_does_not_matter():
    keypoints = simulated(5, 200)
    order = np.random.default_rng(6).permutation(200)
    shuffled = fit_calibration(*(part[order] for part in keypoints))
    assert same(shuffled, fit_calibration(*keypoints))


def test_scores_say_how_often_fresh_keypoints_are_right():
    calibration = fit_calibration(*simulated(7, 2000))
    heights, right, labelled = simulated(8, 2000)
    scores = calibration(heights)
    before = reliability(heights[labelled], right[labelled]).error
    assert before > 0.1
    assert reliability(scores[labelled], right[labelled]).error < 0.03
    for joint in (PELVIS, RIGHT_WRIST, LEFT_WRIST):
        known = labelled[:, joint]
        assert reliability(scores[known, joint], right[known, joint]).error < 0.06


# As text.


def test_json_brings_back_the_same_numbers():
    calibrations = {
        PLAIN: fit_calibration(*simulated(9, 150)),
        FLIP_TEST: Calibration((np.array([1 / 3, 0.1 + 0.2 + 0.5]),), (np.array([0.0, 1 / 7]),)),
    }
    text = to_json(calibrations)
    back = from_json(text, where="here")
    assert list(back) == [PLAIN, FLIP_TEST]
    for name, calibration in calibrations.items():
        for field in ("heights", "rates"):
            pairs = zip(getattr(calibration, field), getattr(back[name], field), strict=True)
            for one, other in pairs:
                np.testing.assert_array_equal(one, other)
    assert to_json(back) == text
    assert from_json(to_json({}), where="here") == {}


# What is refused.


def test_too_few_keypoints_are_refused():
    keypoints = groups_of((99, 0.5, 50))
    with pytest.raises(
        ValueError,
        match=r"99 labelled keypoints are too few to calibrate scores, at least 100 are needed",
    ):
        fit_calibration(*keypoints)
    assert line_of(fit_calibration(*groups_of((100, 0.5, 50))), HEAD_TOP) == ([0.5], [0.5])


@pytest.mark.parametrize(
    ("heights", "rates", "told"),
    [
        ([], [], "a calibration needs a line per joint, got 0 arrays of heights and 0 of rates"),
        ([[0.5]], [[0.5], [0.6]], "needs a line per joint, got 1 arrays of heights and 2 of rates"),
        (
            [[0.5], [0.2, 0.4]],
            [[0.5], [0.6]],
            r"calibration of joint 1: heights \(2,\) and rates \(1,\) must be as many, at least",
        ),
        ([[]], [[]], r"calibration of joint 0: heights \(0,\) and rates \(0,\) must be as many"),
        ([[[0.5]]], [[[0.5]]], r"joint 0: heights \(1, 1\) and rates \(1, 1\) must be as many"),
        ([[0.5, 0.5]], [[0.1, 0.2]], "calibration of joint 0: heights must ascend, rates must not"),
        ([[0.5, 0.4]], [[0.1, 0.2]], "heights must ascend"),
        ([[0.4, 0.5]], [[0.2, 0.1]], "rates must not fall"),
        ([[0.4, 1.1]], [[0.1, 0.2]], r"both must lie in \[0, 1\]"),
        ([[-0.1, 0.5]], [[0.1, 0.2]], r"both must lie in \[0, 1\]"),
        ([[0.4, 0.5]], [[0.1, 1.2]], r"both must lie in \[0, 1\]"),
        ([[0.4, 0.5]], [[-0.1, 0.2]], r"both must lie in \[0, 1\]"),
        ([[0.4, np.nan]], [[0.1, 0.2]], r"both must lie in \[0, 1\]"),
        ([[0.4, 0.5]], [[np.nan, 0.2]], r"both must lie in \[0, 1\]"),
    ],
)
def test_what_is_no_rising_line_is_refused(heights: list, rates: list, told: str):
    lines = (tuple(np.array(line, float) for line in part) for part in (heights, rates))
    with pytest.raises(ValueError, match=told):
        Calibration(*lines)


def test_level_rates_and_single_knots_are_lines():
    calibration = Calibration(
        (np.array([0.0, 1.0]), np.array([0.5])), (np.array([0.3, 0.3]), np.array([1.0]))
    )
    np.testing.assert_allclose(calibration(np.array([[0.2, 0.9]])), [[0.3, 1.0]], rtol=1e-6)


def test_heights_of_another_number_of_joints_are_refused():
    calibration = fit_calibration(*simulated(10, 100))
    with pytest.raises(
        ValueError, match=r"heights \(3, 17\) must end in the calibration's 16 joints"
    ):
        calibration(np.zeros((3, 17)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"plain": 3}',
        '{"plain": [[0.5], [0.5]]}',
        '{"plain": {"heights": [[0.5]]}}',
        '{"plain": {"heights": [[0.5]], "rates": 0.5}}',
        '{"plain": {"heights": [["high"]], "rates": [[0.5]]}}',
        '{"plain": {"heights": [[[0.5], []]], "rates": [[0.5]]}}',
        '{"plain": {"heights": [[NaN]], "rates": [[0.5]]}}',
        '{"plain": {"heights": [null], "rates": [[0.5]]}}',
    ],
)
def test_text_of_another_kind_is_named(text: str):
    with pytest.raises(ValueError, match=r"^best\.keras: not a calibration of scores \("):
        from_json(text, where="best.keras")


def test_a_bad_line_in_a_text_is_told():
    text = json.dumps({"plain": {"heights": [[0.5, 0.4]], "rates": [[0.5, 0.6]]}})
    with pytest.raises(ValueError, match=r"best\.keras: .*joint 0: heights must ascend"):
        from_json(text, where="best.keras")


# Reliability.


def test_reliability_by_hand():
    scores = np.array([1.0, 0.15, 0.05, 0.95, 0.15])
    right = np.array([True, True, False, True, False])
    table = reliability(scores, right)
    assert table.count.tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    empty = [np.nan] * 7
    np.testing.assert_allclose(table.score, [0.05, 0.15, *empty, 0.975])
    np.testing.assert_allclose(table.share, [0.0, 0.5, *empty, 1.0])
    # Gaps of 0.05, 0.35 and 0.025 over 1, 2 and 2 keypoints.
    assert table.error == pytest.approx((0.05 + 2 * 0.35 + 2 * 0.025) / 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("score", "place"), [(0.0, 0), (0.0999, 0), (0.5, 5), (0.9, 9), (0.999, 9), (1.0, 9)]
)
def test_a_bin_begins_with_its_lower_end_and_the_last_holds_1(
    dtype: type, score: float, place: int
):
    table = reliability(np.array([score], dtype), np.array([True]))
    assert np.flatnonzero(table.count).tolist() == [place]
    assert table.count.sum() == 1
    assert len(table.count) == 10


def test_overconfidence_and_doubt_do_not_cancel_out():
    scores = np.repeat([0.25, 0.75], 4)
    right = np.array([True, True, False, False] * 2)
    assert reliability(scores, right).error == pytest.approx(0.25)


def test_the_error_of_no_keypoints_is_unknown():
    table = reliability(np.zeros(0), np.zeros(0, bool))
    assert np.isnan(table.error)
    assert np.isnan(table.score).all()
    assert np.isnan(table.share).all()
    assert table.count.tolist() == [0] * 10
