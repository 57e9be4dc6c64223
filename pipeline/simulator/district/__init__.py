"""The made-up district behind the server, generated from a seed; nobody in it exists."""
