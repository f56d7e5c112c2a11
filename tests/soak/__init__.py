"""Faults for real, in their long form: ``python -m tests soak [--times N]``. Not part of the default tiers."""
