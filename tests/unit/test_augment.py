"""Augmentation: image by image what torchvision does with the same numbers, and the numbers uniform."""

from __future__ import annotations

import math
import weakref
from collections import Counter

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from hpo.trainers.images.augment import Augment
from hpo.trainers.images.augmentation import Windows, covered, draw, turned, windows_of
from hpo.trainers.images.batches import Batches, Normalize
from hpo.trainers.images.data import Images

CPU = torch.device("cpu")
AS_THEY_ARE = Normalize(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))


def images(count: int, height: int = 8, width: int = 10) -> Images:
    """Colour images of noise, each labelled by its place."""
    dice = torch.Generator().manual_seed(0)
    inputs = torch.randint(1, 256, (count, 3, height, width), generator=dice, dtype=torch.uint8)
    return Images(inputs, torch.arange(count))


@pytest.mark.parametrize("augment", [Augment(crop=2), Augment(flip=True), Augment(crop=3, flip=True)])
def test_crops_and_flips_are_torchvisions(augment: Augment) -> None:
    """Every image of two epochs is the one that torchvision cuts out and mirrors with the same draws."""
    source = images(20)
    batches = Batches(source, 5, 7, augment, AS_THEY_ARE)
    for epoch in range(2):
        draws = draw(augment, 20, 7, epoch, CPU)
        for index in range(4):
            batch = batches.at(4 * epoch + index)
            for place, (seen, label) in enumerate(zip(batch.inputs, batch.labels, strict=True), start=5 * index):
                original = source.inputs[label]
                mirrored = reference.horizontal_flip(original) if draws.flip[place] else original
                padded = reference.pad(mirrored, [augment.crop] * 4)
                expected = reference.crop(padded, int(draws.down[place]), int(draws.right[place]), 8, 10)
                assert torch.equal(expected.float(), seen)


@pytest.mark.parametrize("augment", [Augment(crop=1), Augment(crop=1, flip=True)])
def test_windows_of_many_images(augment: Augment) -> None:
    """More than are padded together: those of each by itself."""
    source, chosen = images(2_500, 4, 5), torch.tensor([0, 1023, 1024, 2047, 2048, 2499])
    offsets = torch.tensor([0, 1, 2, 0, 1, 2])
    flip = offsets.clamp(max=1) if augment.flip else torch.zeros_like(offsets)
    few = Images(source.inputs[chosen], chosen)
    expected = Windows(few.inputs, augment)(torch.arange(6), flip, offsets, offsets)
    assert torch.equal(expected, Windows(source.inputs, augment)(chosen, flip, offsets, offsets))


def test_windows_are_made_once_for_the_same_images() -> None:
    """A trial after another gets those that are there; of another kind they are made anew; they go with the images."""
    source, augment = images(6), Augment(crop=2, flip=True)
    first = windows_of(source, augment)
    assert first is windows_of(source, Augment(crop=2, flip=True, cutout=3))
    one, two = (Batches(source, 3, 7, augment, AS_THEY_ARE).at(1) for _ in range(2))
    assert torch.equal(one.inputs, two.inputs)
    assert first is not windows_of(images(6), augment)
    gone = weakref.ref(first)
    del first
    other = windows_of(source, Augment(crop=1))
    assert (None, [other]) == (gone(), list(source.made.values()))
    gone = weakref.ref(other)
    del other, source
    assert gone() is None


def test_nothing_asked_is_nothing_done() -> None:
    """The images as they are."""
    source = images(6)
    batch = Batches(source, 6, 7, Augment(), AS_THEY_ARE).at(0)
    assert torch.equal(source.inputs[batch.labels].float(), batch.inputs)


@pytest.mark.parametrize(("name", "values"), [("flip", 2), ("down", 9), ("right", 9)])
def test_offsets_and_flips_are_uniform(name: str, values: int) -> None:
    """Each value as often as another: a chi-squared statistic below its 99.9 % point."""
    counted = Counter(getattr(draw(Augment(crop=4, flip=True), 90_000, 3, 0, CPU), name).tolist())
    assert set(range(values)) == set(counted)
    expected = 90_000 / values
    statistic = sum((count - expected) ** 2 / expected for count in counted.values())
    assert statistic < {2: 10.83, 9: 26.12}[values]


def test_draws_do_not_depend_on_each_other() -> None:
    """Offsets, flips and angles are not correlated, and differ from epoch to epoch and seed to seed."""
    augment = Augment(crop=4, flip=True, rotate=10.0)
    first, second, other = (draw(augment, 50_000, seed, epoch, CPU) for seed, epoch in ((3, 0), (3, 1), (4, 0)))
    columns = torch.stack([first.flip, first.down, first.right, first.angle, second.down, other.down]).float()
    correlation = torch.corrcoef(columns) - torch.eye(len(columns))
    assert correlation.abs().max() < 0.02


@pytest.mark.parametrize(("height", "width"), [(12, 12), (9, 15)])
def test_turned_as_torchvision_turns(height: int, width: int) -> None:
    """Bilinear, about the centre, black outside."""
    inputs = images(6, height, width).inputs.float()
    degrees = [0.0, 5.0, -15.0, 30.0, 90.0, 180.0]
    for image, angle in zip(inputs, degrees, strict=True):
        ours = turned(image[None], torch.tensor([math.radians(angle)]))[0]
        theirs = reference.rotate(image, angle, interpolation=reference.InterpolationMode.BILINEAR)
        inside = (slice(None), slice(2, -2), slice(2, -2))
        torch.testing.assert_close(ours[inside], theirs[inside], atol=0.05, rtol=1e-3)


def test_angles_stay_in_range() -> None:
    """Up to `rotate` degrees either way, both ends reached."""
    angles = draw(Augment(rotate=10.0), 10_000, 1, 0, CPU).angle.rad2deg()
    assert -10 <= angles.min() < -9.9
    assert 9.9 < angles.max() <= 10


def test_cutout_covers_a_square() -> None:
    """A square of the mean colour about the centre, cut off at the edge."""
    inputs = torch.ones(2, 3, 8, 8)
    out = covered(inputs, 4, torch.tensor([0.5, 0.0]), torch.tensor([0.5, 0.99]))
    holes = (out == 0).all(dim=1)
    assert [16, 6] == holes.sum(dim=(1, 2)).tolist()
    assert holes[0, 2:6, 2:6].all()
    assert holes[1, :2, 5:].all()


def test_a_resumed_epoch_sees_the_same_images() -> None:
    """A batch depends on its step alone, whatever was asked for before."""
    augment = Augment(crop=2, flip=True, rotate=5.0, cutout=3)
    straight, jumping = (Batches(images(12), 4, 1, augment, AS_THEY_ARE) for _ in range(2))
    expected = [straight.at(step).inputs for step in range(9)]
    for step in (8, 0, 4, 4, 7):
        assert torch.equal(expected[step], jumping.at(step).inputs)
