"""The model families; importing one leaves the others alone."""
