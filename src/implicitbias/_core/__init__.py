"""What every room shares: errors, statuses, certificates, arrays, precision, progress, labelled arrays.

No word of the field appears here; anything that knows what a flow or a limit is lives further up.
"""
