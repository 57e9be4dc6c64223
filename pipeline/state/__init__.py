"""Many districts: which they are, a run of each, and what is published of all together."""
