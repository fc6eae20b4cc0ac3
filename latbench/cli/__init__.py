"""The command line: ``latbench.cli.app``. Heavy imports happen inside commands, so that ``--help``
stays fast."""
