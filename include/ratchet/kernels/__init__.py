"""How numeric functions become machine code. Imports nothing else of the package, so every layer may use it."""
