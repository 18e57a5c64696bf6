"""What a run will do: pure data and pure functions; the same seed gives the same plan."""
