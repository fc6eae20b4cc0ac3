"""Images to search and train on: built-in sets, files and folders."""
