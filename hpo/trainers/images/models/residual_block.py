"""What residual nets are built of (He et al. 2016, figure 2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two convolutions around which the input passes unchanged; stride 2 where the channels double."""

    def __init__(self, inputs: int, outputs: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self._stride, self._more = (1, 0) if inputs == outputs else (2, outputs - inputs)
        self.conv1, self.norm1 = convolution(inputs, outputs, self._stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = convolution(outputs, outputs), nn.BatchNorm2d(outputs)
        self.activation1, self.activation2 = activation(), activation()

    def forward(self, inputs: Tensor) -> Tensor:
        inner = self.activation1(self.norm1(self.conv1(inputs)))
        shortcut = inputs
        if self._more:
            subsampled = inputs[:, :, :: self._stride, :: self._stride]
            shortcut = functional.pad(subsampled, (0, 0, 0, 0, 0, self._more))
        outputs: Tensor = self.activation2(self.norm2(self.conv2(inner)) + shortcut)
        return outputs


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A convolution of 3 x 3 that keeps the size, or halves it with stride 2."""
    # The normalization that follows would take a bias away again.
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
