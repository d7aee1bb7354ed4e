"""Model servers: the workload, who may reach it, how it scales, what is alerted."""
