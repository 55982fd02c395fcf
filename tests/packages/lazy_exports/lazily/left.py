from lazily import shared

with shared.first:
    shared.meet()
    with shared.second:
        VALUE = "left"
