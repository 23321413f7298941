"""Compiles numeric functions to machine code. Imports nothing else of the package, so every layer may use it."""
