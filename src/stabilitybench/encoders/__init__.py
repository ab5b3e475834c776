"""Pretrained encoders: loading, the architecture map, pretraining and the embedded ones."""

from stabilitybench.encoders.layout import Layout
from stabilitybench.encoders.loading import Encoder, load_encoder, pocket_encoders

__all__ = ["Encoder", "Layout", "load_encoder", "pocket_encoders"]
