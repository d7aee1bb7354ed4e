"""How requests reach the pods: routes, retries, access, the waker of idle models."""
