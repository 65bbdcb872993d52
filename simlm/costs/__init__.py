"""What a run will cost before it starts: arithmetic, time, disk and GPU memory of each stage."""
