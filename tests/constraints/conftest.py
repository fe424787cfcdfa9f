from hypothesis import HealthCheck, settings

# the machine that runs the tests may be busy: no deadline a case, and no complaint about slow generation
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
