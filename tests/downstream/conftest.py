"""The project is run in a copy, with its own settings, by integration/test_import_probe.py."""

collect_ignore_glob = ["project/*"]
