"""The vocabulary of the project as frozen types. No input or output, no other layer."""
