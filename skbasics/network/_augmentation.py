"""Augmentation: training images that are drawn anew in every epoch."""

from collections.abc import Callable

import torch
from torch import Tensor

from skbasics.network._layer import RandomLayer, TrainingPass

Augment = Callable[[Tensor, torch.Generator], Tensor]


class Augmentation(RandomLayer):
    """A random change of the images of training; at prediction it does nothing.

    Parameters
    ----------
    function : callable
        From images ``(n, channels, height, width)`` and a generator to images of that shape.
    """

    def __init__(self, function: Augment) -> None:
        self.function = function

    def forward(self, X: Tensor, training: TrainingPass) -> Tensor:
        X = X if training.part is None else training.part.spread(X)
        sizes = training.sizes or [X.shape[1]] * X.shape[0]
        images = X.clone()
        for k, size in enumerate(sizes):
            if size:
                images[k, :size] = self._changed(X[k, :size], self.generators[k])
        self.images = training.own(images)
        return self.images

    def backward(self, delta: Tensor, input_needed: bool = True) -> Tensor | None:
        raise NotImplementedError("Nothing is trained before the images.")

    def apply(
        self,
        parameters: list[Tensor],
        statistics: list[Tensor],
        X: Tensor,
        training: TrainingPass | None = None,
    ) -> Tensor:
        return X if training is None else self.images

    def to_module(self, parameters: list[Tensor], statistics: list[Tensor]) -> None:
        return None

    def _changed(self, images: Tensor, generator: torch.Generator) -> Tensor:
        changed = self.function(images, generator)
        if not isinstance(changed, Tensor) or changed.shape != images.shape:
            given = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed)
            raise ValueError(
                f"The 'augment' callable returned {given} for images {tuple(images.shape)}. It "
                "takes images (n, channels, height, width) and a torch.Generator, and returns "
                "as many images of the same size."
            )
        return changed


def shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by up to a tenth of its sides; what moves in is zero."""
    n, _, height, width = images.shape
    rows = _moved(n, height, images, generator)[:, None, :, None]
    columns = _moved(n, width, images, generator)[:, None, None, :]
    numbers = torch.arange(n, device=images.device)[:, None, None]
    last = images.permute(0, 2, 3, 1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    places = rows[:, 0].clamp(0, height - 1), columns[:, 0].clamp(0, width - 1)
    return last[numbers, places[0], places[1]].permute(0, 3, 1, 2) * inside


def _moved(n: int, side: int, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the places ``(n, side)`` that each image's rows or columns are taken from."""
    most = max(1, side // 10) if side > 1 else 0
    moves = torch.randint(-most, most + 1, (n, 1), generator=generator, device=images.device)
    return torch.arange(side, device=images.device) + moves


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image, left to right, with probability one half."""
    coins = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)
    return torch.where(coins < 0.5, images.flip(3), images)


AUGMENTATIONS: dict[str, Augment] = {"shift": shift, "flip": flip}
