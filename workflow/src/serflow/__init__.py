"""serflow: speech emotion recognition as a workflow.

Imports point one way: ``cli → report → evaluation → models → features → audio → corpus → store``.
Nothing in this package imports Snakemake.
"""

__version__ = "0.1.0"
