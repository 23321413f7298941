"""Predicts reviews: routing to the arms, scoring, shadow mode and rows for the prediction log."""
