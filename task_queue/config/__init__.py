"""The configuration: where it is, what it says, and how it is changed.

``locations`` finds the files, ``document`` reads the JSON leniently for commands that only show,
``schema`` checks all of it for those who act on it, ``edit`` changes it. Import the module you need:
``schema`` costs the import of pydantic, the others do not.
"""
