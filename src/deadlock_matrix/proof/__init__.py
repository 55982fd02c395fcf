"""From evidence to a verdict: pure functions, no input or output.

``waits`` says what each thread waits for and who could end that; ``closure`` finds the threads that
nobody but themselves could wake; ``judge`` puts it into words and data; ``check`` decides, from the
data alone, whether it still stands.
"""
