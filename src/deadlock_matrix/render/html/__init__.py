"""A report as one HTML page that needs nothing else: see `deadlock_matrix.render.html.page`."""
