"""Demonstration and rehearsal: real daemon, real SDK and CLI, real files; only the model is scripted."""
