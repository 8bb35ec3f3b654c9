"""The passes, one per file, and the default pipeline."""

from __future__ import annotations

import onnx_ir as ir

from layoutopt.passes.absorb_channel_shuffles import AbsorbChannelShuffles
from layoutopt.passes.arrange_resizes import ArrangeResizes
from layoutopt.passes.cancel_transposes import CancelTransposes
from layoutopt.passes.compute_what_is_read import ComputeWhatIsRead
from layoutopt.passes.convolve_before_upsampling import ConvolveBeforeUpsampling
from layoutopt.passes.drop_identities import DropIdentities
from layoutopt.passes.eliminate_dead_code import EliminateDeadCode
from layoutopt.passes.expand_instance_norm import ExpandInstanceNorm
from layoutopt.passes.expand_products import ExpandProducts
from layoutopt.passes.expand_quantized_operators import ExpandQuantizedOperators
from layoutopt.passes.fold_affine import FoldAffine
from layoutopt.passes.fold_batch_norm import FoldBatchNorm
from layoutopt.passes.fold_constants import FoldConstants
from layoutopt.passes.fuse_depth_to_space import FuseDepthToSpace
from layoutopt.passes.inline_functions import InlineFunctions
from layoutopt.passes.merge_parallel_convolutions import MergeParallelConvolutions
from layoutopt.passes.pool_before_convolution import PoolBeforeConvolution
from layoutopt.passes.propagate_layout import PropagateLayout
from layoutopt.passes.recognize_activations import RecognizeActivations
from layoutopt.passes.remove_dead_channels import RemoveDeadChannels
from layoutopt.passes.split_products import SplitProducts

__all__ = [
    "DEFAULT_PIPELINE",
    "PASSES",
    "REWRITES",
    "AbsorbChannelShuffles",
    "ArrangeResizes",
    "CancelTransposes",
    "ComputeWhatIsRead",
    "ConvolveBeforeUpsampling",
    "DropIdentities",
    "EliminateDeadCode",
    "ExpandInstanceNorm",
    "ExpandProducts",
    "ExpandQuantizedOperators",
    "FoldAffine",
    "FoldBatchNorm",
    "FoldConstants",
    "FuseDepthToSpace",
    "InlineFunctions",
    "MergeParallelConvolutions",
    "PoolBeforeConvolution",
    "PropagateLayout",
    "RecognizeActivations",
    "RemoveDeadChannels",
    "SplitProducts",
    "default_pipeline",
]

PASSES: tuple[type[ir.passes.PassBase], ...] = (
    InlineFunctions,
    FoldConstants,
    DropIdentities,
    RecognizeActivations,
    ExpandQuantizedOperators,
    FoldBatchNorm,
    ArrangeResizes,
    ExpandInstanceNorm,
    ExpandProducts,
    SplitProducts,
    RemoveDeadChannels,
    ConvolveBeforeUpsampling,
    FoldAffine,
    MergeParallelConvolutions,
    PoolBeforeConvolution,
    ComputeWhatIsRead,
    FuseDepthToSpace,
    AbsorbChannelShuffles,
    PropagateLayout,
    CancelTransposes,
    EliminateDeadCode,
)
"""Every pass that a pipeline text can name."""

DEFAULT_PIPELINE: tuple[ir.passes.PassBase, ...] = (
    InlineFunctions(),
    FoldConstants(),
    DropIdentities(),
    RecognizeActivations(),
    ExpandQuantizedOperators(),
    FoldBatchNorm(),
    ArrangeResizes(),
    ExpandInstanceNorm(),
    ExpandProducts(),
    SplitProducts(),
    RemoveDeadChannels(),
    ConvolveBeforeUpsampling(),
    FoldAffine(),
    MergeParallelConvolutions(),
    PoolBeforeConvolution(),
    ComputeWhatIsRead(),
    FuseDepthToSpace(),
    AbsorbChannelShuffles(),
    PropagateLayout(),
    CancelTransposes(),
    EliminateDeadCode(),
)


REWRITES: tuple[type[ir.passes.PassBase], ...] = (
    RemoveDeadChannels,
    ConvolveBeforeUpsampling,
    MergeParallelConvolutions,
    PoolBeforeConvolution,
    ComputeWhatIsRead,
)
"""The passes that make a network cheaper by computing the same in another way; sums then run in another order."""


def default_pipeline(propagate: PropagateLayout, *, exact: bool = False) -> tuple[ir.passes.PassBase, ...]:
    """The default pipeline with its layouts chosen in this way; ``exact`` without what lets sums run otherwise."""
    passes = [each for each in DEFAULT_PIPELINE if not (exact and isinstance(each, REWRITES))]
    return tuple(propagate if isinstance(each, PropagateLayout) else each for each in passes)
