"""The files of deploy/ for one configuration: pure functions from settings to texts."""
