"""Functions compiled to machine code."""
