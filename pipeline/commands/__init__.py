"""What `python -m pipeline` does: look at what runs left, and at what they will find."""
