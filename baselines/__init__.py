"""What the paper compares with: BM25 through Lucene, published systems, and runs fused from two others."""
