"""Starts a worker by a fork while another thread holds the library's lock."""

from forklib.pool import start

start()
