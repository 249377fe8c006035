"""What moves while a trial trains: schedules of the clock, and policies that also see what was measured."""
