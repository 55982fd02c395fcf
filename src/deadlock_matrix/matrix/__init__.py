"""What to run: interpreters, profiles, layouts, scenarios, and their expansion into cells."""
