"""QA grids: a LoRA's versions side by side, over fixed prompts and fixed seeds."""
