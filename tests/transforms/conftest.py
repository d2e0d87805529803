from hypothesis import settings

# The machine that runs the tests may be busy: how long an example takes says nothing about the code.
settings.register_profile("transforms", deadline=None)
settings.load_profile("transforms")
