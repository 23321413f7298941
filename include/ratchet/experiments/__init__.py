"""Experiments with champion and challenger on live traffic: assignment and statistics."""
