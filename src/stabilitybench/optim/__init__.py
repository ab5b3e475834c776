"""Optimizer steps, schedules and clipping as functions on dictionaries of tensors."""
