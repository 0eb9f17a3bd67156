"""The check of the pictures that a LoRA is trained on."""
