"""Native libraries as read from files: who needs what, where it is found, and what it is."""
