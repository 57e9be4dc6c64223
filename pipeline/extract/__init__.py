"""From the API to shards: what to request, over which threads, and what is kept of it."""
