"""How a report is laid out: terminal, Markdown, page, files, notes in the dashboard."""
