"""What the paper compares with: BM25 through Lucene, and runs fused from two others."""
