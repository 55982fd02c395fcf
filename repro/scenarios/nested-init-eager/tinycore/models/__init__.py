from tinycore.models import gpt2, qwen2  # every model, at once
