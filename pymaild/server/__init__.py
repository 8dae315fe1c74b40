"""The only place that forks, binds and signals: roles, master, worker, listeners, control."""
