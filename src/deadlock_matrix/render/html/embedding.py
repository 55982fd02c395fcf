"""Text inside an HTML page: JSON that cannot end its script, and hashes that allow one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import msgspec

_ESCAPED = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)  # fmt: skip


def script_json(value: object) -> str:
    """Return ``value`` as JSON for ``<script type="application/json">``.

    Whatever it holds, it contains no tag, comment or entity: ``<``, ``>``, ``&`` and the two line
    ends that JSON does not know as such are written as escapes, which can occur only inside texts.
    """
    return msgspec.json.encode(value).decode().translate(_ESCAPED)


def source_hash(text: str) -> str:
    """Return the hash of a script or a style as a Content Security Policy spells it."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def policy(scripts: Sequence[str], styles: Sequence[str], *, graphs: bool) -> str:
    """Return the Content Security Policy of a page: nothing is loaded, and nothing else is run.

    ``graphs`` allows compiling WebAssembly, which Graphviz is, and one place that makes elements
    from text, for what Graphviz has drawn.
    """
    allowed = [source_hash(script) for script in scripts]
    allowed += ["'wasm-unsafe-eval'"] * graphs
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(allowed),
        "style-src": " ".join(source_hash(style) for style in styles),
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "graph" if graphs else "'none'",
    }
    return "; ".join(f"{rule} {value}" for rule, value in rules.items())
