"""Reading a study: the verdict, its statistics, and how they are written down."""
