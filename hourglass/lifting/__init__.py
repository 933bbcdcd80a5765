"""From two dimensions to three: a person's joints in a picture become joints around the pelvis."""
