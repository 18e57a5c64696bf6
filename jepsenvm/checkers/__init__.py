"""From a history to a result: one checker a file, pure; the verdict algebra stands in ``verdict``."""
