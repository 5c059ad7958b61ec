"""Networks that find layers in echograms.

`LayerNetwork` follows holistically nested edge detection (Xie & Tu 2015): a side output at each scale, learned
fusion, every output supervised. Ours differs where ice does: features flow from coarse to fine before the side
outputs; wide 1 x k depthwise convolutions look far along the track, for layers are long and thin; features lie two
traces apart while each output tells both of them, for layers are also steep. `ReferenceNetwork` is the VGG-like
original that ice-layer work compares with.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple, Type

import mxnet as mx
from echogram_input import CHANNELS
from mxnet.gluon import nn

from firnline.geometry import LABELS

OUTPUTS = len(LABELS)


class ConvolutionBlock(nn.HybridSequential):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self,
        width: int,
        kernel: Tuple[int, int],
        strides: Tuple[int, int] = (1, 1),
        dilation: Tuple[int, int] = (1, 1),
        padding: Optional[Tuple[int, ...]] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        padding = padding or tuple(d * (k // 2) for d, k in zip(dilation, kernel))
        with self.name_scope():
            self.add(
                nn.Conv2D(width, kernel, strides, padding, dilation, use_bias=False),
                nn.BatchNorm(),
                nn.Activation("relu"),
            )


class TrackContext(nn.HybridBlock):
    """Residual block that looks along the track, one channel at a time, then mixes the channels.

    Not dilated: dilated depthwise convolutions fall off MXNet's fast path on a CPU (five times the time, measured).
    """

    def __init__(self, width: int, kernel: Tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        rows, traces = kernel
        with self.name_scope():
            self.reach = nn.Conv2D(
                width, kernel, padding=(rows // 2, traces // 2), groups=width, use_bias=False, in_channels=width
            )
            self.norm = nn.BatchNorm()
            self.mix = nn.Conv2D(width, 1)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return x + self.mix(F.Activation(self.norm(self.reach(x)), act_type="relu"))


class Fusion(nn.Conv2D):
    """Weighted sum of the side outputs [(N, 3, H / 2**k, W / 2**k), ...], fine to coarse, at full size: a 1 x 1
    convolution of weight (3, scales, 1, 1) over all of them, enlarged by repetition.

    Summed from coarse to fine, which is the same and enlarges far fewer pixels. Enlarged by repetition, for the finest
    output carries the detail, and MXNet's bilinear backward pass costs as much as a network.
    """

    def __init__(self, scales: int, **kwargs: Any) -> None:
        super().__init__(OUTPUTS, 1, in_channels=OUTPUTS * scales, groups=OUTPUTS, **kwargs)

    def hybrid_forward(self, F: Any, *sides: Any, weight: Any, bias: Any = None) -> Any:
        total = None
        for scale in reversed(range(len(sides))):
            share = F.slice_axis(weight, axis=1, begin=scale, end=scale + 1)
            last = () if scale or bias is None else (bias,)
            here = F.Convolution(
                sides[scale], share, *last, kernel=(1, 1), num_filter=OUTPUTS, num_group=OUTPUTS, no_bias=not last
            )
            # add_n, for oneDNN draws other sums and the sigmoid after them into the convolution, where they are slow.
            total = here if total is None else F.add_n(here, _enlarge(F, total, OUTPUTS))
        return total


class LayerNetwork(nn.HybridBlock):
    """Input (N, 5, rows, traces), both multiples of 16. Output: list of logits (N, 3, rows, traces), first the fused
    ones, then one for each scale, fine to coarse, at its own resolution. The three channels are surface, internal
    layer, bed.

    Averaging two traces into one column caps F1 within 2 px at 0.86 on steep layers (3 rows a trace) even with perfect
    probabilities, against 0.99 so.
    """

    channels = CHANNELS
    trace_stride = 1

    def __init__(
        self, widths: Sequence[int] = (16, 32, 64, 64), decoder: Sequence[int] = (16, 24, 32, 64), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.decoder = decoder
        with self.name_scope():
            self.stages, self.narrow = nn.HybridSequential(), nn.HybridSequential()
            self.lateral, self.sides = nn.HybridSequential(), nn.HybridSequential()
            for scale, width in enumerate(widths):
                stage = nn.HybridSequential()
                if scale == 0:
                    stage.add(
                        ConvolutionBlock(width, (3, 4), strides=(1, 2), padding=(1, 1)),
                        ConvolutionBlock(width, (3, 3)),
                    )
                else:
                    stage.add(
                        nn.MaxPool2D(2),
                        ConvolutionBlock(width, (3, 3)),
                        TrackContext(width, (1 if scale == 1 else 3, 9)),
                    )
                if scale >= 2:
                    stage.add(ConvolutionBlock(width, (3, 3)), TrackContext(width, (3, 9)))
                if scale == len(widths) - 1:
                    stage.add(ConvolutionBlock(width, (3, 3), dilation=(2, 2)), TrackContext(width, (9, 9)))
                self.stages.add(stage)
                self.lateral.add(nn.Conv2D(decoder[scale], 1))
                self.sides.add(nn.Conv2D(2 * OUTPUTS, 1))
                if scale:
                    self.narrow.add(nn.Conv2D(decoder[scale - 1], 1))
            self.refine = ConvolutionBlock(decoder[0], (3, 3))
            self.fuse = Fusion(len(widths), use_bias=False, weight_initializer=mx.init.Constant(1.0 / len(widths)))

    def hybrid_forward(self, F: Any, x: Any) -> List[Any]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        coarse, sides = None, []
        for scale in reversed(range(len(features))):
            here = self.lateral[scale](features[scale])
            if coarse is not None:
                here = here + _enlarge(F, self.narrow[scale](coarse), self.decoder[scale])
            coarse = self.refine(here) if scale == 0 else F.Activation(here, act_type="relu")
            sides.append(_both_traces(F, self.sides[scale](coarse)))
        sides.reverse()
        return [self.fuse(*sides), *sides]


class ReferenceNetwork(nn.HybridBlock):
    """The VGG-16 form of holistically nested edge detection: 2-2-3-3-3 convolutions of widths 64-128-256-512-512, no
    batch norm, five side outputs, fusion weights from a uniform distribution; 14.7 million parameters.

    Input (N, 1, rows, traces); output as `LayerNetwork`, one column per trace.
    """

    channels = 1
    trace_stride = 1

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        convolutions: Sequence[int] = (2, 2, 3, 3, 3),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.stages, self.sides = nn.HybridSequential(), nn.HybridSequential()
            for scale, (width, count) in enumerate(zip(widths, convolutions)):
                stage = nn.HybridSequential()
                if scale:
                    stage.add(nn.MaxPool2D(2))
                for _ in range(count):
                    stage.add(nn.Conv2D(width, 3, padding=1, activation="relu"))
                self.stages.add(stage)
                self.sides.add(nn.Conv2D(OUTPUTS, 1))
            self.fuse = Fusion(len(widths), weight_initializer=mx.init.Uniform(0.07))

    def hybrid_forward(self, F: Any, x: Any) -> List[Any]:
        sides = []
        for stage, output in zip(self.stages, self.sides):
            x = stage(x)
            sides.append(output(x))
        return [self.fuse(*sides), *sides]


def _enlarge(F: Any, x: Any, channels: int) -> Any:
    """(N, `channels`, H, W) as (N, `channels`, 2H, 2W), each pixel repeated.

    A depthwise transposed convolution with ones: MXNet's own nearest enlargement takes ten times as long, since it
    leaves oneDNN's layout.
    """
    ones = F.ones(shape=(channels, 1, 2, 2))
    return F.Deconvolution(x, ones, kernel=(2, 2), stride=(2, 2), num_filter=channels, num_group=channels)


def _both_traces(F: Any, x: Any) -> Any:
    """(N, 2 * 3, H, W) as (N, 3, H, 2W): of the two values of a column the first is its left trace's (sub-pixel
    convolution, Shi et al. 2016, along the track only).
    """
    # In four dimensions oneDNN transposes; in five MXNet itself does, at ten times the time.
    pairs = F.reshape(F.reshape(x, shape=(0, -4, -1, 2, 0, 0)), shape=(-3, 0, 0, 0))
    return F.reshape(F.transpose(pairs, axes=(0, 2, 3, 1)), shape=(-4, -1, OUTPUTS, 0, -3))


NETWORKS: Dict[str, Type[Any]] = {"layers": LayerNetwork, "reference": ReferenceNetwork}


def build(name: str) -> Any:
    """A network with fixed parameter names, so that artefacts of different processes agree; initialised, on the CPU."""
    network = NETWORKS[name](prefix="firnline_")
    network.initialize(mx.init.MSRAPrelu(factor_type="in", slope=0.0))
    network(mx.nd.zeros((1, network.channels, 32, 32)))
    return network


def inference_symbol(network: Any) -> Any:
    """Symbol with input ``data`` whose output is the fused probabilities (N, 3, rows, traces / trace_stride)."""
    return mx.sym.Activation(network(mx.sym.var("data"))[0], act_type="sigmoid")
