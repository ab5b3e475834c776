"""Bridges to other training loops: `stabilitybench.integrations.trainer` for the Hugging Face `Trainer`."""
