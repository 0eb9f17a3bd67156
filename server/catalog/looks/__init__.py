"""How characters are rendered: their models, their scene, their tuning."""
