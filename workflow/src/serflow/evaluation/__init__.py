"""Measures, references and comparison."""
