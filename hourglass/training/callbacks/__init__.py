"""What happens beside a training's steps: one idea per file."""
