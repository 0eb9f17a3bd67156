"""Character LoRAs: versions that never change, which one is live, their files, and the hosts that need them."""
