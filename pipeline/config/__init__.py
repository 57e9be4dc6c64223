"""Settings and credentials: command line > environment > luigi.cfg > default."""
