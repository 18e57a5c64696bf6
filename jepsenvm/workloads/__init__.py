"""What is done to the broker and how it is judged: one workload a file, all of them in one registry."""
