"""The lines with which an app calls a file, a language each: filled in from the file, and not compiled by us.

Each `write` returns the code for a file, from its name and the variables that go in and come out.
"""
