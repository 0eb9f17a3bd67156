"""Who may use the server: users, sign-in links, sessions, API keys, and how often. `service.Accounts` is the door."""
