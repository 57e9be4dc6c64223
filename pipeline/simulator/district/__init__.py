"""The made-up district: what its server knows. Made here, from a seed; nobody in it exists."""
