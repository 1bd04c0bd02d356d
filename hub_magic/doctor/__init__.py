"""Everything that commonly goes wrong here, each with its fix."""

from .diagnosing import diagnose
from .finding import Diagnosis, Finding, Report

__all__ = ["Diagnosis", "Finding", "Report", "diagnose"]
