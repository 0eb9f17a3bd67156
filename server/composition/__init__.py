"""Parts of the composition root (`server.app`) that say one thing each."""
