"""One run from plan to results: preparation, phases, recovery, store and analysis."""
