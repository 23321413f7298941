"""The jobs that Spark can do on more than one machine, with the definitions of `ratchet.data`: docs/spark.md."""
