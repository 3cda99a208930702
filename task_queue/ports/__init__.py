"""The seams: protocols that the outer packages implement and the inner ones use. One small file each."""
