"""Filed emission factors, and what traffic emits at a speed."""
