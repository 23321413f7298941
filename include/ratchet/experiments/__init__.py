"""Champion against challenger on live traffic: assignment and statistics."""
