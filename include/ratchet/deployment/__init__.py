"""What a deployment is and what it costs."""
