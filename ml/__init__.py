"""What the company learns: segments, purchase propensity and look-alikes.

Each module reads Parquet that dbt exported, works on frames, and writes Parquet that dbt reads as a source.
"""
