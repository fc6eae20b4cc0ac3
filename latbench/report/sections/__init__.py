"""The contents of a report: its summary, sections, tables and sentences."""
