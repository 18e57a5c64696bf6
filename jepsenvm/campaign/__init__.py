"""Campaigns: many runs over a matrix of versions, settings, faults and seeds."""
