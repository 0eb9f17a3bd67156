"""Pictures from ComfyUI hosts: graphs filled from `workflows/api/`, submitted, watched and fetched."""
