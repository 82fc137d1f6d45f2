"""The rules of memstore as values and functions: no IO, no clock, no randomness, no environment."""
