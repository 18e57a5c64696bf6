"""The workloads: one file per workload, and the AMQP clients that they share."""
