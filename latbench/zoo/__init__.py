"""Published networks by name, each as its authors' code builds it, with its source."""
