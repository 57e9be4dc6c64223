"""From shards to tables: pure functions of shards, labels and the roster."""
