import importlib

MODELS = ("gpt2", "qwen2")


def __getattr__(name):  # each model when it is asked for
    if name in MODELS:
        return importlib.import_module("tinycore.models." + name)
    raise AttributeError(name)
