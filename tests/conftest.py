"""Hypothesis measures nothing in time: a busy machine is no fault of the code under test."""

from hypothesis import settings

settings.register_profile("kip", deadline=None)
settings.load_profile("kip")
