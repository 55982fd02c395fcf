"""Recognise known causes: the signs that each leaves behind, looked for in what was recorded."""
