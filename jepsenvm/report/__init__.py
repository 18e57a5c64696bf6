"""Results as text for the terminal, and as an HTML page with plots."""
