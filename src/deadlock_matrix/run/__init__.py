"""Start probes, watch them, and leave none of them behind."""
