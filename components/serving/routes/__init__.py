"""How requests reach the pods: routes, retries, access control and the waker."""
