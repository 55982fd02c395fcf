"""Waits a while for a thread that waits for this very module."""
import threading


def import_part():
    from package_joins_importer import part  # noqa: F401


thread = threading.Thread(target=import_part)
thread.start()
thread.join(timeout=6)
