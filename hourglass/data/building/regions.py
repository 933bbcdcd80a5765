"""Which part of a picture training can ever show of a person, and the person moved into it.

The builder's `crop` store keeps this part alone. It is found from the crop's own geometry, at the
picture's full resolution.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from hourglass.core.geometry import WINDOW_MARGIN, crop_side
from hourglass.core.person import Person
from hourglass.media.pictures import JPEG_BLOCK, MIN_SIDE, Region

REACH = 1.04
"""Pixels up to this far from the crop's centre are kept, along each axis, in sides of the crop.

A crop turned by any angle, of a side changed by up to `scale` and a centre moved by up to `shift`
(`core.config.AugmentConfig`), reaches (1 + scale) · (√½ + shift) sides: 1.036 in the preset
that changes crops most. Half bodies (`data.augment.half_body`) of people who are as wide as high
may reach farther: there they show grey.
"""


def reachable_region(person: Person, *, height: int, width: int) -> Region:
    """The part of a picture that a person's training crops show.

    It begins and ends at the JPEG format's blocks, so that cutting it out changes next to nothing.
    Of a person outside the picture, the part of it that is nearest is kept.

    Args:
        person: Their `center` and `scale` say where the crop is.
        height: The picture's height, px.
        width: The picture's width, px.

    Returns:
        Of `MIN_SIDE` px or more along each side.
    """
    reach = REACH * float(crop_side(person.scale)) + WINDOW_MARGIN
    left, right = _span(float(person.center[0]), reach, width)
    top, bottom = _span(float(person.center[1]), reach, height)
    return Region(left, top, right, bottom)


def _span(center: float, reach: float, length: int) -> tuple[int, int]:
    """First pixel and end of `center` ± `reach`, within 0 and `length`."""
    largest = (length - MIN_SIDE) // JPEG_BLOCK * JPEG_BLOCK
    first = math.floor((center - reach) / JPEG_BLOCK) * JPEG_BLOCK
    end = (math.floor((center + reach) / JPEG_BLOCK) + 1) * JPEG_BLOCK
    first = min(max(first, 0), largest)
    return first, min(max(end, first + JPEG_BLOCK), length)


def moved(person: Person, region: Region) -> Person:
    """The person in pixels of `region` instead of the picture's; rows without label stay."""
    corner = np.array([region.left, region.top], np.float32)
    points = np.where(person.labelled[:, None], person.points - corner, person.points)
    box = person.box
    if box:
        box = (box[0] - region.left, box[1] - region.top, box[2], box[3])
    return dataclasses.replace(person, points=points, center=person.center - corner, box=box)
