"""What a request passes before its route is called."""
