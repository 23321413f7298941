"""A trained model: its file, its scores and metrics, explanations, batch predictions and exports."""
