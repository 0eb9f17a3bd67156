"""What is known of Kohya's SDXL LoRA trainer, and the checks of its configuration and its pictures before it runs."""
