"""A system that runs, for people who watch it: studies, workers, the dashboard."""
