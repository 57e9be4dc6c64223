"""Illuminate assessment results as clean tables."""
