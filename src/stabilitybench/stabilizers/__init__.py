"""Stabilizers: the contract, the registry, composition, and one file for each published method.

The lines below are the one list of what is shipped: importing a method's module registers it.
"""

from stabilitybench.stabilizers.averaging import EMA as EMA
from stabilitybench.stabilizers.averaging import SWA as SWA
from stabilitybench.stabilizers.base import Stabilizer as Stabilizer
from stabilitybench.stabilizers.bert_adam import BertAdam as BertAdam
from stabilitybench.stabilizers.bitfit import BitFit as BitFit
from stabilitybench.stabilizers.child_tuning import ChildTuningD as ChildTuningD
from stabilitybench.stabilizers.child_tuning import ChildTuningF as ChildTuningF
from stabilitybench.stabilizers.composition import compose as compose
from stabilitybench.stabilizers.context import Batch as Batch
from stabilitybench.stabilizers.context import Context as Context
from stabilitybench.stabilizers.context import Forward as Forward
from stabilitybench.stabilizers.context import TaskFacts as TaskFacts
from stabilitybench.stabilizers.debiased_adam import DebiasedAdam as DebiasedAdam
from stabilitybench.stabilizers.deni import DENI as DENI
from stabilitybench.stabilizers.freeze import Freeze as Freeze
from stabilitybench.stabilizers.gradual_unfreezing import GradualUnfreezing as GradualUnfreezing
from stabilitybench.stabilizers.hook_calls import Composition as Composition
from stabilitybench.stabilizers.intermediate_task import IntermediateTask as IntermediateTask
from stabilitybench.stabilizers.l2_sp import L2SP as L2SP
from stabilitybench.stabilizers.llrd import LLRD as LLRD
from stabilitybench.stabilizers.lnsr import LNSR as LNSR
from stabilitybench.stabilizers.longer import Longer as Longer
from stabilitybench.stabilizers.longer import SmallRate as SmallRate
from stabilitybench.stabilizers.lora import LoRA as LoRA
from stabilitybench.stabilizers.lp_ft import LPFT as LPFT
from stabilitybench.stabilizers.mh_loss import MHLoss as MHLoss
from stabilitybench.stabilizers.mh_loss import ZeroHead as ZeroHead
from stabilitybench.stabilizers.mixout import Mixout as Mixout
from stabilitybench.stabilizers.mmr import MMR as MMR
from stabilitybench.stabilizers.pretrained_decay import PretrainedDecay as PretrainedDecay
from stabilitybench.stabilizers.r3f import R3F as R3F
from stabilitybench.stabilizers.r3f import R4F as R4F
from stabilitybench.stabilizers.registry import build as build
from stabilitybench.stabilizers.registry import catalogue as catalogue
from stabilitybench.stabilizers.registry import load_file as load_file
from stabilitybench.stabilizers.registry import loaded_files as loaded_files
from stabilitybench.stabilizers.registry import register as register
from stabilitybench.stabilizers.registry import source_fingerprint as source_fingerprint
from stabilitybench.stabilizers.reinit import ReInit as ReInit
from stabilitybench.stabilizers.sam import SAM as SAM
from stabilitybench.stabilizers.smart import SMART as SMART
from stabilitybench.stabilizers.surt import SURT as SURT
from stabilitybench.stabilizers.traits import Position as Position
from stabilitybench.stabilizers.traits import Trait as Trait
