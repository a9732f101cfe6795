"""`python -m implicitbias`."""

from implicitbias.cli import main

if __name__ == "__main__":
    main()
