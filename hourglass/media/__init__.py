"""What people look at: pictures, films, drawings, and results as other programs read them."""
