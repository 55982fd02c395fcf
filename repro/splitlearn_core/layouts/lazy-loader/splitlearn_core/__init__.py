"""Layout lazy-loader: public names are attached by the `lazy-loader` package (SPEC 1)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submodules=["models"], submod_attrs={"factory": ["ModelFactory"]}
)
