"""The list of passes, in the order of the default pipeline; each has a file. Their contract is in ``base``."""

from __future__ import annotations

from layoutopt.options import FOLD_LIMIT
from layoutopt.passes.absorb_channel_shuffles import AbsorbChannelShuffles as AbsorbChannelShuffles
from layoutopt.passes.arrange_resizes import ArrangeResizes as ArrangeResizes
from layoutopt.passes.base import Pass as Pass
from layoutopt.passes.cancel_transposes import CancelTransposes as CancelTransposes
from layoutopt.passes.compute_what_is_read import ComputeWhatIsRead as ComputeWhatIsRead
from layoutopt.passes.convolve_before_upsampling import ConvolveBeforeUpsampling as ConvolveBeforeUpsampling
from layoutopt.passes.drop_identities import DropIdentities as DropIdentities
from layoutopt.passes.eliminate_dead_code import EliminateDeadCode as EliminateDeadCode
from layoutopt.passes.expand_instance_norm import ExpandInstanceNorm as ExpandInstanceNorm
from layoutopt.passes.expand_products import ExpandProducts as ExpandProducts
from layoutopt.passes.expand_quantized_operators import ExpandQuantizedOperators as ExpandQuantizedOperators
from layoutopt.passes.fold_affine import FoldAffine as FoldAffine
from layoutopt.passes.fold_batch_norm import FoldBatchNorm as FoldBatchNorm
from layoutopt.passes.fold_constants import FoldConstants as FoldConstants
from layoutopt.passes.fuse_depth_to_space import FuseDepthToSpace as FuseDepthToSpace
from layoutopt.passes.inline_functions import InlineFunctions as InlineFunctions
from layoutopt.passes.merge_linear_chains import MergeLinearChains as MergeLinearChains
from layoutopt.passes.merge_parallel_convolutions import MergeParallelConvolutions as MergeParallelConvolutions
from layoutopt.passes.pool_before_convolution import PoolBeforeConvolution as PoolBeforeConvolution
from layoutopt.passes.propagate_layout import PropagateLayout as PropagateLayout
from layoutopt.passes.recognize_activations import RecognizeActivations as RecognizeActivations
from layoutopt.passes.recognize_batch_norm import RecognizeBatchNorm as RecognizeBatchNorm
from layoutopt.passes.remove_dead_channels import RemoveDeadChannels as RemoveDeadChannels
from layoutopt.passes.split_products import SplitProducts as SplitProducts

DEFAULT_PIPELINE: tuple[Pass, ...] = (
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
    MergeLinearChains(),
    PoolBeforeConvolution(),
    ComputeWhatIsRead(),
    FuseDepthToSpace(),
    AbsorbChannelShuffles(),
    PropagateLayout(),
    CancelTransposes(),
    RecognizeBatchNorm(),
    EliminateDeadCode(),
)
"""The passes that run unless others are named."""

PASSES: tuple[type[Pass], ...] = tuple(dict.fromkeys(type(each) for each in DEFAULT_PIPELINE))
"""Every pass that a pipeline text can name."""

REWRITES: tuple[type[Pass], ...] = tuple(each for each in PASSES if each.reorders_sums)
"""The passes that make a network cheaper by computing the same in another way; sums then run in another order."""


def default_pipeline(
    propagate: PropagateLayout, *, exact: bool = False, fold_limit: int = FOLD_LIMIT
) -> tuple[Pass, ...]:
    """Return the default pipeline with ``propagate`` as its choice of layouts.

    Args:
        propagate: how layouts are chosen.
        exact: whether to leave out the passes that let sums run in another order.
        fold_limit: bytes beyond which nothing that repeats constants is folded.
    """
    chosen = {PropagateLayout: propagate, FoldConstants: FoldConstants(limit=fold_limit)}
    return tuple(chosen.get(type(each), each) for each in DEFAULT_PIPELINE if not (exact and each.reorders_sums))
