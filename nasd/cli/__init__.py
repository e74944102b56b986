"""The command line: one module a command, each light to import; what a command needs is imported when it runs."""
