"""Tools that all packages share: errors, statuses, certificates, arrays, precision, progress, labelled arrays.

Nothing here depends on the subject of the library: whatever knows what a flow or a limit is belongs to another package.
"""
