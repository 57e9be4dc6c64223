"""Bytes and paths: atomic writes, checksums, receipts, and where every file lives."""
