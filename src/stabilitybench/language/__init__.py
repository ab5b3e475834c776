"""The pocket language: a small generated language of real words, with a documented grammar and meanings."""
