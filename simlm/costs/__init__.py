"""What a run will cost before it starts: arithmetic, throughput, disk and memory, by stage."""
