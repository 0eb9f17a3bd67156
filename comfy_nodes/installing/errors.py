"""What stops the installer: one line that says what is wrong and what to do."""


class InstallError(Exception):
    """Printed as it is; the exit code is 2."""
