"""The operations that keep the transposes of weights up to date, which gradients go back by."""

from ..layout import round_up
from ..llvm.tiles import GROUP, NR
from ..transpose import CopyRows, Transpose


class Transposes:
    """The transposes of the weights of all layers but the first.

    Parameters
    ----------
    buffers : Buffers
    """

    def __init__(self, buffers):
        self.buffers, self.size, self.lanes = buffers, buffers.size, buffers.lanes

    def panel(self, layer, j, across, k0, k1):
        """Return the operations that copy rows k0..k1 of the panel of column j."""
        W = self.buffers.parameter(layer.weights + j * layer.fan_in)
        return [
            Transpose(
                W=W + k * across * self.size,
                stride=across * self.size,
                rows=stop - k,
                columns=min(across, layer.fan_out - j),
                out=place + j * out_stride,
                out_stride=out_stride,
            )
            for k, stop, place, out_stride in self._targets(layer, k0, k1)
        ]

    def group(self, layer, j, start, k0, k1):
        """Return the operations that copy elements k0..k1 of the columns of a group.

        The first of its columns is number j; its weights begin at `start`.
        """
        return [
            CopyRows(
                X=self.buffers.parameter(start + k),
                stride=layer.group_length * self.size,
                rows=min(GROUP, layer.fan_out - j),
                elements=stop - k,
                out=place + j * out_stride,
                out_stride=out_stride,
            )
            for k, stop, place, out_stride in self._targets(layer, k0, k1)
        ]

    def _targets(self, layer, k0, k1):
        """Yield the ranges of k in one panel of the transpose: start, stop, address, stride."""
        wide, whole = NR * self.lanes, round_up(layer.fan_in, self.lanes)
        while k0 < k1:
            panel = k0 // wide * wide
            stop, width = min(k1, panel + wide), min(wide, whole - panel)
            place = layer.transposed + panel * layer.fan_out + k0 - panel
            yield k0, stop, self.buffers.transpose(place), width * self.size
            k0 = stop
