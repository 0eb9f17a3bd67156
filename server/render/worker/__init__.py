"""The process that renders: takes jobs off the line, runs them on ComfyUI hosts and stores clean pictures."""
