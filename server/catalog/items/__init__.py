"""What can be worn: the shop's items, people's own uploads, and who owns which."""
