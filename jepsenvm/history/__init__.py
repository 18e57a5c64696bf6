"""What happened: ops as they were invoked and completed, written as they happen and read in columns."""
