"""The command `doctor`: checks of everything that a location needs."""
