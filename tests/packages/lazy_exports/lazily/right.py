from lazily import shared

with shared.second:
    shared.meet()
    with shared.first:
        VALUE = "right"
