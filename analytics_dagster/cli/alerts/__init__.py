"""What the commands do with alerts: try out the routes, list and close incidents, notify about their own runs."""
