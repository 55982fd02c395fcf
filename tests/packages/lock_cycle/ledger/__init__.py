"""A ledger that posts its opening entries from a second thread while it is imported."""

from ledger.accounts import open_books

open_books()
