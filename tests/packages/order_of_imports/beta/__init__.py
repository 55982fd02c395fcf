import sys

if "alpha" in sys.modules:
    with sys.modules["alpha"].STATE:
        pass
