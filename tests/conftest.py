from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long a machine takes to make an example says nothing about us.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")
