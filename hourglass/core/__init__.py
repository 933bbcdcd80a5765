"""Words and pure numpy: skeletons, poses, crops and heatmaps. Only `files` touches a disk."""
