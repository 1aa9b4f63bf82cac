"""InstructX: Qwen2.5-VL with meta-queries, a connector and a Flux2 transformer."""
