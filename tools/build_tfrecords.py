"""`python -m tools.build_tfrecords`: the same as `python -m hourglass.build`, by its older name.

The command's home is the package, so that an installed wheel has it, too.
"""

from hourglass.build import main

if __name__ == "__main__":
    main()
