"""Jobs, schedules and sensors: what starts a run, in which order runs start, and which failed runs are retried."""
