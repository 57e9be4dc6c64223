"""One run of one process: its lock, signals, record, summary and webhook."""
