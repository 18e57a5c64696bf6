"""One file per fault: how it is drawn, injected, healed and verified, and what it hides."""
