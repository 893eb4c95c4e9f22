"""Measures speed, delay and quality."""
