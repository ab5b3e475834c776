"""The format of a run: the version of all code, beside the stabilizers, that turns the inputs of a run into numbers."""

#: Part of every run's identity.  Raise it, and every run is done anew, whenever the same inputs come to other numbers:
#: the training loop and the stages before it, the linear probe, how batches, dropout masks and new tensors are drawn
#: from seeds, optimizer and schedule, how an encoder's files become tensors and tokens, metrics and failure, and the
#: default of a recipe field, since fields that have their default are left out of an identity.  A change that touches
#: one stabilizer alone raises `Stabilizer.version`; tasks enter by their rows, so that generators need no version.
FORMAT = 1
