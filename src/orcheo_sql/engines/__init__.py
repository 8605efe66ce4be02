"""The two engines: connections, transactions, errors and health. Nothing here knows a subsystem."""
