"""The nemesis: faults, when they happen, how they are injected, verified, healed and recorded."""
