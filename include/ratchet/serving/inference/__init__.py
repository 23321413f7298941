"""From reviews to predictions: routing to the arms, scoring, shadow mode and rows for the prediction log."""
