"""Exit codes of the commands."""

OK, FAILED, WRONG_USAGE, SOME_FAILED, INTERRUPTED = 0, 1, 2, 3, 130
EXIT_CODES = """\
exit codes:
  0  success; every bracket was fused
  1  the job itself failed; finished brackets are kept, run the same command again
  2  wrong usage; nothing was done
  3  finished, but some brackets failed; failures/*.parquet lists which and why
"""
