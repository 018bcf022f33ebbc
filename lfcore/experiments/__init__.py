"""Experiments: a file each, everything of one condition from training to a tidy table."""
