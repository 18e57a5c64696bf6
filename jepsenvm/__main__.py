"""`python -m jepsenvm`: the command line, for processes that start it with their own Python."""

from jepsenvm.cli.main import main

if __name__ == "__main__":
    main()
