"""Stabilizers: the contract, the registry, composition, and one file for each published method."""

from stabilitybench.stabilizers.averaging import EMA, SWA
from stabilitybench.stabilizers.base import Batch, Context, Forward, Stabilizer, TaskFacts
from stabilitybench.stabilizers.bert_adam import BertAdam
from stabilitybench.stabilizers.bitfit import BitFit
from stabilitybench.stabilizers.child_tuning import ChildTuningD, ChildTuningF
from stabilitybench.stabilizers.composition import apply_recipe, compose
from stabilitybench.stabilizers.debiased_adam import DebiasedAdam
from stabilitybench.stabilizers.deni import DENI
from stabilitybench.stabilizers.freeze import Freeze
from stabilitybench.stabilizers.gradual_unfreezing import GradualUnfreezing
from stabilitybench.stabilizers.intermediate_task import IntermediateTask
from stabilitybench.stabilizers.l2_sp import L2SP
from stabilitybench.stabilizers.llrd import LLRD
from stabilitybench.stabilizers.lnsr import LNSR
from stabilitybench.stabilizers.longer import Longer, SmallRate
from stabilitybench.stabilizers.lora import LoRA
from stabilitybench.stabilizers.lp_ft import LPFT
from stabilitybench.stabilizers.mh_loss import MHLoss, ZeroHead
from stabilitybench.stabilizers.mixout import Mixout
from stabilitybench.stabilizers.mmr import MMR
from stabilitybench.stabilizers.pretrained_decay import PretrainedDecay
from stabilitybench.stabilizers.r3f import R3F, R4F
from stabilitybench.stabilizers.registry import build, catalogue, load_file, loaded_files, register, source_fingerprint
from stabilitybench.stabilizers.reinit import ReInit
from stabilitybench.stabilizers.sam import SAM
from stabilitybench.stabilizers.smart import SMART
from stabilitybench.stabilizers.surt import SURT

__all__ = [
    "DENI",
    "EMA",
    "L2SP",
    "LLRD",
    "LNSR",
    "LPFT",
    "MMR",
    "R3F",
    "R4F",
    "SAM",
    "SMART",
    "SURT",
    "SWA",
    "Batch",
    "BertAdam",
    "BitFit",
    "ChildTuningD",
    "ChildTuningF",
    "Context",
    "DebiasedAdam",
    "Forward",
    "Freeze",
    "GradualUnfreezing",
    "IntermediateTask",
    "LoRA",
    "Longer",
    "MHLoss",
    "Mixout",
    "PretrainedDecay",
    "ReInit",
    "SmallRate",
    "Stabilizer",
    "TaskFacts",
    "ZeroHead",
    "apply_recipe",
    "build",
    "catalogue",
    "compose",
    "load_file",
    "loaded_files",
    "register",
    "source_fingerprint",
]
