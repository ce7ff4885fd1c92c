"""The configuration: YAML in, checked and frozen objects out, every problem reported at once."""

from include.config.errors import ConfigError, Problem
from include.config.loading import load_configuration
from include.config.schema import (
    Audience,
    Channel,
    Configuration,
    Destination,
    FileSource,
    IdentityRules,
    IdType,
    Lookalike,
    LookalikeModel,
    MapEntry,
    Models,
    Normalisation,
    Privacy,
    Purchase,
    Segmentation,
    SqlSource,
    TraitRule,
)
from include.config.variables import dbt_variables

__all__ = [
    "Audience",
    "Channel",
    "ConfigError",
    "Configuration",
    "Destination",
    "FileSource",
    "IdType",
    "IdentityRules",
    "Lookalike",
    "LookalikeModel",
    "MapEntry",
    "Models",
    "Normalisation",
    "Privacy",
    "Problem",
    "Purchase",
    "Segmentation",
    "SqlSource",
    "TraitRule",
    "dbt_variables",
    "load_configuration",
]
