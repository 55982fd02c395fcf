"""Which Pythons there are, and what each one is: found, asked, measured from outside."""
