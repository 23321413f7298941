"""From features to a champion: train, evaluate, decide, register."""
