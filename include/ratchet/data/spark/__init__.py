"""`preprocess` and `split` on a Spark cluster, with the definitions of `ratchet.data`: docs/spark.md."""
